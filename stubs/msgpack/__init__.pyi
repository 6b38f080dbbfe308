from typing import Any

class UnpackException(Exception): ...
class PackException(Exception): ...

class Packer:
    def __init__(self, *, use_bin_type: bool = True) -> None: ...
    def pack(self, obj: object) -> bytes: ...

def packb(o: object, *, use_bin_type: bool = True, strict_types: bool = False) -> bytes: ...
def unpackb(
    packed: bytes | bytearray | memoryview,
    *,
    raw: bool = False,
    use_list: bool = True,
    strict_map_key: bool = True,
    timestamp: int = 0,
    max_str_len: int = -1,
    max_bin_len: int = -1,
    max_array_len: int = -1,
    max_map_len: int = -1,
    max_ext_len: int = -1,
) -> Any: ...
