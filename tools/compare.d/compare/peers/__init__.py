"""The measured libraries, by name. A library is imported when it is used: one that cannot be does not
keep the others from being measured."""

import importlib

from .peer import Peer

CLASSES = {
    "hashdb": ("hashdb", "Hashdb"),
    "faiss-flat": ("faiss_binary", "Flat"),
    "faiss-ivf": ("faiss_binary", "Ivf"),
    "faiss-hnsw": ("faiss_binary", "Hnsw"),
    "faiss-multihash": ("faiss_binary", "MultiHash"),
    "faiss-hash": ("faiss_binary", "Hash"),
    "usearch": ("usearch_graph", "Usearch"),
    "sqlite-vec": ("sqlitevec", "SqliteVec"),
    "lancedb": ("lance", "Lance"),
    "duckdb": ("duck", "DuckDb"),
}
NAMES = tuple(CLASSES)


def create(name: str, **params: int | str) -> Peer:
    """A library with a shape of index."""
    module, class_name = CLASSES[name]
    return getattr(importlib.import_module(f".{module}", __package__), class_name)(**params)
