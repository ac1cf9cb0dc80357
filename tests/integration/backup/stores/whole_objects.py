"""Objects of a store as one piece of bytes each."""

from strongroom.backup.stores.contract import Store


def put(store: Store, name: str, content: bytes) -> None:
    with store.create(name) as target:
        target.write(content)


def get(store: Store, name: str) -> bytes:
    with store.open(name) as file:
        return file.read()
