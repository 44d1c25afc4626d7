"""The base of every record that is written to a file or read from one."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable record that refuses fields it does not know, and numbers that JSON cannot hold."""

    # Pydantic of before 2.10 warns of every field named model_...
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())
