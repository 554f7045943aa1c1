"""Run directories: the ledger of every stage, artefacts and exports made from it, the manifest, readers."""
