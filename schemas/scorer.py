"""An image-text model that tells how well a picture and a text belong together, such as Git-RSCLIP."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from schemas.base import Model
from schemas.subset import SafeName

GIT_RSCLIP = "lcybuaa/Git-RSCLIP"
"""Id of Git-10M's own model on the Hub: a SigLIP-large, 256 x 256 pixels, 64 tokens."""

Prompt = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class Checkpoint(Model):
    """The weights of an image-text model, with what belongs to them: configuration, image processor and tokenizer."""

    name: SafeName = Field(description="What the recipe, tables and pages call it.", examples=["git-rsclip"])
    model: str = Field(
        GIT_RSCLIP,
        min_length=1,
        description="A local folder as `save_pretrained` writes it, or the id of a SigLIP or CLIP on the Hugging Face "
        "Hub: owner/name.",
    )
    revision: str | None = Field(
        None, min_length=1, description="Of the Hub: branch, tag or commit; null: main. The commit is recorded."
    )
    sha256: str | None = Field(
        None,
        pattern="^[0-9a-f]{64}$",
        description="Of a folder: SHA-256 over its files, in hex; null: that of the files as they are, which is "
        "recorded.",
    )
    batch_size: int = Field(
        64, ge=1, le=65_536, description="Pictures at once [pictures]; changes the last digits of a number, no more."
    )

    def weights(self) -> dict[str, Any]:
        """Return which weights these are, wherever they lie: plain JSON data; of a pinned checkpoint it is exact."""
        if self.sha256 is not None:
            return {"sha256": self.sha256}
        return {"model": self.model, "revision": self.revision}


class Scorer(Checkpoint):
    """A model that scores each pair: by the similarity of picture and caption, and of picture and some prompts."""

    captions: Literal["whole", "sentences"] = Field(
        "whole",
        description="A caption longer than the model reads: `whole` scores what it reads of it, `sentences` each "
        "sentence, of which the mean counts.",
    )
    remote_sensing: list[Prompt] = Field(
        default_factory=lambda: ["a satellite image", "an aerial photograph", "a remote sensing image"],
        min_length=1,
        description="Texts that a picture of this data set should be like.",
    )
    other: list[Prompt] = Field(
        default_factory=lambda: [
            "a photo of people",
            "a photo taken on the ground",
            "a screenshot",
            "a chart or a diagram",
            "a page of text",
            "a blank image",
        ],
        min_length=1,
        description="Texts that a picture that does not belong here is like.",
    )
