"""The strict, immutable pydantic base that every model of this project shares."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen model that refuses unknown keys, so that a misspelt key is an error and not a default."""

    model_config = ConfigDict(extra="forbid", frozen=True)
