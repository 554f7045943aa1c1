"""A whole other domain, in other words: a lending library. The engine must serve it without knowing it."""

from typing import Annotated, Any

from veriloop.core.errors import ToolError
from veriloop.domains.clause import Case, Clause
from veriloop.domains.database import Database, Row, Table
from veriloop.domains.domain import Caller, ToolkitDomain
from veriloop.domains.source import Yield, choice, ref
from veriloop.domains.tool import tool


class Reader(Row):
    """Somebody with a card."""

    card: str
    name: str
    agreed: bool


class Book(Row):
    """A copy on the shelf or lent to a reader."""

    code: str
    title: str
    lent_to: str
    renewals: int
    branch: str


class Library(Database):
    """Both tables."""

    readers: Table[Reader]
    books: Table[Book]


CARD = ref("card", "card number")
CODE = ref("code", "book", say=lambda value, scope: str(scope.pool["code"][value].get("title", value)))
BRANCH = choice("branch", ("north", "south", "east"), "branch")


class Desk:
    """What the desk and the reader can do."""

    def __init__(self, db: Library) -> None:
        self.db = db

    @tool("read", yields=(Yield("code", "[].code"),))
    def list_loans(self, card: Annotated[str, CARD]) -> list[dict[str, Any]]:
        """List what a reader has borrowed."""
        return [row.model_dump() for row in self.db.books.where(lent_to=self.db.readers[card].card)]

    @tool("read")
    def get_reader(self, card: Annotated[str, CARD]) -> Reader:
        """Show a reader."""
        return self.db.readers[card]

    @tool("write", topics=("keep a book longer", "renew a loan"))
    def renew(self, card: Annotated[str, CARD], code: Annotated[str, CODE]) -> str:
        """Lend a book for another month."""
        book = self.db.books[code]
        if book.lent_to != card:
            raise ToolError("not lent to this reader")
        self.db.books.update(code, renewals=book.renewals + 1)
        return "renewed"

    @tool("write", topics=("give a book back at another branch", "move a book"))
    def move(self, card: Annotated[str, CARD], code: Annotated[str, CODE], branch: Annotated[str, BRANCH]) -> str:
        """Send a book to another branch."""
        self.db.books.update(code, branch=branch)
        return "moved"

    @tool("write", seat="user", topics=("accept the lending terms on your screen",))
    def accept_terms(self, card: Annotated[str, CARD]) -> str:
        """Accept the terms."""
        self.db.readers.update(card, agreed=True)
        return "accepted"


def _book(case: Case) -> Any:
    return case.state.books.get(str(case.call.arguments.get("code")))


def _limit(case: Case) -> str | None:
    book = _book(case)
    return "renewed twice already" if book and book.renewals >= 2 else None


def _same(case: Case) -> str | None:
    book = _book(case)
    return "it is there already" if book and book.branch == case.call.arguments.get("branch") else None


def _terms(case: Case) -> str | None:
    reader = case.state.readers.get(str(case.call.arguments.get("card")))
    return None if reader and reader.agreed else "the terms were not accepted"


CLAUSES = (
    Clause("L1", "A book is renewed at most twice.", ("renew",), _limit, read="list_loans"),
    Clause("L2", "A book is moved only to another branch.", ("move",), _same, read="list_loans"),
    Clause("L3", "Moving needs the accepted terms.", ("move",), _terms, read="get_reader"),
)


def load(database: str) -> dict[str, dict[str, Row]]:
    """Make a library from its id."""
    salt = sum(map(ord, database))
    readers = {f"R{salt}{n}": Reader(card=f"R{salt}{n}", name=f"Reader {n}", agreed=n % 2 == 0) for n in range(8)}
    books = {
        f"B{n}": Book(
            code=f"B{n}", title=f"title {salt} {n}", lent_to=list(readers)[n % 8], renewals=n % 4,
            branch=("north", "south", "east")[n % 3],
        )
        for n in range(40)
    }  # fmt: skip
    return {"readers": readers, "books": books}


def callers(db: Database) -> list[Caller]:
    """Everybody with a card."""
    assert isinstance(db, Library)
    return [Caller(row.card, row.name, {"card": row.card}) for row in db.readers]


def load_library() -> ToolkitDomain:
    """Return the domain."""
    return ToolkitDomain("library", "# Library\n1. Be kind.", Desk, Library, load, callers, CLAUSES, {"card": CARD})
