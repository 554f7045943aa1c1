"""`python -m lookalike OUT`: the size of the released data, every kind of fault in 20 rows, the truth in truth.json."""

import json
import shutil
import sys
from pathlib import Path

from lookalike.clean import make_clean
from lookalike.plant import plant

FULL = {"tau2/airline": 720, "tau2/retail": 720, "tau2/telecom": 1190}
ROWS, EACH = 33_531, 20


def main() -> None:
    out = Path(sys.argv[1])
    make_clean(out, FULL, rows=ROWS)
    shutil.rmtree(out / ".parts")
    truth = plant(out, EACH)
    out.with_name(f"{out.name}.truth.json").write_text(json.dumps({f: sorted(p) for f, p in truth.items()}))


if __name__ == "__main__":
    main()
