"""Kernel: an image-text model, SigLIP or CLIP, as a function from pictures and texts to vectors of one space."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.errors import CurationError
from schemas.scorer import Checkpoint
from tasks.embed.checkpoint import sha256_of_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL import Image

Vectors = NDArray[np.float32]
"""One vector a row, shape (n, dimensions), each of length 1: their products are cosines."""

Prepared = Mapping[str, NDArray[Any]]
"""What the model wants of a picture, as its processor makes it: ``pixel_values`` and, of some models, more; of texts,
which are stacked, ``input_ids`` and, of some models, more."""


class Scaling(NamedTuple):
    """How bytes of a picture become numbers: ``(byte * factor - mean) / deviation``, the latter two by channel."""

    factor: float
    mean: Sequence[float]
    deviation: Sequence[float]


_TEXTS_AT_ONCE = 256
_UNSCALED = {"do_rescale": False, "do_normalize": False}


class ModelUnusable(CurationError):
    """A model cannot be had, or is not one that compares pictures with texts."""


class Embedder:
    """An image-text model at work: in bfloat16 on a GPU that has it, else in float32 on the CPU."""

    def __init__(self, name: str, model: Any, processor: Any, batch_size: int):
        """Take a model and a processor of ``transformers``; ``name`` is what messages call them."""
        import torch

        self._name, self._batch_size = name, batch_size
        self._torch, self._processor = torch, processor
        self.device: str = "cuda" if torch.cuda.is_available() else "cpu"
        half = self.device == "cuda" and torch.cuda.is_bf16_supported()
        self.dtype: str = "bfloat16" if half else "float32"
        self._model = model.to(self.device, getattr(torch, self.dtype)).eval()
        self.made_by: dict[str, str] = {
            "device": torch.cuda.get_device_name() if self.device == "cuda" else self.device,
            "dtype": self.dtype,
            "image_processor": type(processor.image_processor).__name__,
            **_versions("torch", "torchvision", "transformers", "tokenizers", "sentencepiece", "pillow"),
        }
        """All that its numbers depend on, but for the weights and the last digits of one CPU or another."""
        self._tokenizing = Lock()
        scaling = scaling_of(processor.image_processor)
        self._scaling = scaling and tuple(
            torch.tensor(numbers, device=self.device).reshape(-1, 1, 1) for numbers in scaling
        )
        positions = int(model.config.text_config.max_position_embeddings)
        self.max_tokens = min(int(processor.tokenizer.model_max_length), positions)
        """Tokens that the text tower reads."""
        self.scale = float(model.logit_scale.detach().float().exp())
        self.bias = float(model.logit_bias.detach().float()) if getattr(model, "logit_bias", None) is not None else 0.0
        self.dimensions = int(self.texts([""]).shape[1])

    def prepare(self, picture: "Image.Image") -> Prepared:
        """Return ``picture``, in RGB, as the model takes it, or its bytes; threads may ask at the same time.

        Bytes, where the processor can leave them as they are, become numbers where the model is: that would take a CPU
        longer than all else that is done to a picture, decoding included.
        """
        asked = {} if self._scaling is None else _UNSCALED
        made = self._processor.image_processor(images=picture, return_tensors="np", **asked)
        return {key: np.asarray(value)[0] for key, value in made.items()}

    def images(self, pictures: Sequence["Image.Image"]) -> Vectors:
        """Return the vectors of ``pictures``, in RGB, shape (n, dimensions).

        Raises:
            ModelUnusable: if the model gives what is no number, or has no room for a batch.
        """
        return self.prepared_images([self.prepare(picture) for picture in pictures])

    def prepared_images(self, prepared: Sequence[Prepared]) -> Vectors:
        """Return the vectors of pictures that were prepared before; else as :meth:`images`."""
        found = []
        for start in range(0, len(prepared), self._batch_size):
            batch = prepared[start : start + self._batch_size]
            stacked = {key: np.stack([one[key] for one in batch]) for key in batch[0]}
            found.append(self._run(self._model.get_image_features, stacked))
        return np.concatenate(found) if found else np.empty((0, self.dimensions), np.float32)

    def texts(self, texts: Sequence[str]) -> Vectors:
        """Return the vectors of ``texts``, each cut after :attr:`max_tokens`, as :meth:`images` does of pictures."""
        return self.tokenized_texts(self.tokenize(texts))

    def tokenize(self, texts: Sequence[str]) -> Prepared:
        """Return ``texts`` as the model takes them, arrays of shape (n, tokens); of threads that ask one waits."""
        if not texts:
            return {}
        with self._tokenizing:  # a tokenizer's cut and padding are its state
            made = self._processor.tokenizer(
                list(texts),
                padding="max_length",  # as SigLIP was trained
                truncation=True,
                max_length=self.max_tokens,
                return_tensors="np",
            )
        return dict(made)

    def tokenized_texts(self, tokenized: Prepared) -> Vectors:
        """Return the vectors of texts that were tokenized before; else as :meth:`texts`."""
        found = []
        for start in range(0, len(next(iter(tokenized.values()), ())), self._batch_size):
            batch = {key: values[start : start + self._batch_size] for key, values in tokenized.items()}
            found.append(self._run(self._model.get_text_features, batch))
        return np.concatenate(found) if found else np.empty((0, self.dimensions), np.float32)

    def count_tokens(self, texts: Sequence[str]) -> NDArray[np.int32]:
        """Return how many tokens each text has, the model's own marks included; shape (n,)."""
        counts: list[int] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            batch = list(texts[start : start + _TEXTS_AT_ONCE])
            with self._tokenizing:
                counts += map(len, self._processor.tokenizer(batch, verbose=False)["input_ids"])
        return np.array(counts, np.int32)

    def _run(self, features: Any, inputs: Mapping[str, NDArray[Any]]) -> Vectors:
        torch = self._torch
        try:
            with torch.inference_mode():
                tensors = {}
                for key, value in inputs.items():
                    tensor = torch.from_numpy(np.ascontiguousarray(value)).to(self.device)
                    if key == "pixel_values" and self._scaling is not None:
                        factor, mean, deviation = self._scaling
                        tensor = (tensor.float() * factor - mean) / deviation
                    tensors[key] = tensor.to(self._model.dtype) if tensor.is_floating_point() else tensor
                found = features(**tensors)
                vectors = getattr(found, "pooler_output", found).float()
                unit = torch.nn.functional.normalize(vectors, dim=-1).cpu().numpy()
        except torch.cuda.OutOfMemoryError as error:
            told = (
                f"{self._name}: {self.device} has no room for {self._batch_size} at once; expected a lower batch_size"
            )
            raise ModelUnusable(told) from error
        if not np.isfinite(unit).all():
            raise ModelUnusable(f"{self._name}: found a vector that is not finite; the weights are damaged")
        return np.asarray(unit, np.float32)


def _versions(*packages: str) -> dict[str, str]:
    """Return the versions of those that are installed."""
    found = {}
    for package in packages:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def scaling_of(image_processor: Any) -> Scaling | None:
    """Return how ``image_processor`` makes numbers of bytes; None if it does anything else, or cannot leave it out."""
    if not (getattr(image_processor, "do_rescale", False) and getattr(image_processor, "do_normalize", False)):
        return None
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (2, 300, 500, 3), np.uint8)
    try:
        scaling = Scaling(
            float(image_processor.rescale_factor), list(image_processor.image_mean), list(image_processor.image_std)
        )
        for picture in (Image.fromarray(noise[0]), Image.fromarray(noise[1, :40, :57])):
            asked = {"images": picture, "return_tensors": "np"}
            left = np.asarray(image_processor(**asked, **_UNSCALED)["pixel_values"])
            made = np.asarray(image_processor(**asked)["pixel_values"])
            mean, deviation = (np.reshape(numbers, (-1, 1, 1)) for numbers in (scaling.mean, scaling.deviation))
            if left.dtype != np.uint8 or not np.allclose((left * scaling.factor - mean) / deviation, made, atol=1e-5):
                return None
    except Exception:  # of a processor of any kind, which is used as it is
        return None
    return scaling


def load_embedder(checkpoint: Checkpoint) -> Embedder:
    """Return the model of a pinned checkpoint; the last one that was asked for stays loaded.

    Of the Hub, what is not in its cache on this machine is fetched.

    Raises:
        ModelUnusable: if it is not there, is another kind of model, or what runs it is not installed.
    """
    model = str(Path(checkpoint.model).expanduser())
    return _loaded(checkpoint.name, model, checkpoint.revision, checkpoint.sha256, checkpoint.batch_size)


@lru_cache(maxsize=1)
def _loaded(name: str, model: str, revision: str | None, sha256: str | None, batch_size: int) -> Embedder:
    try:
        import torch  # noqa: F401
        import transformers
    except ModuleNotFoundError as error:
        told = f"{name}: needs {error.name}, which is not installed: pip install 'git10m[clip]'"
        raise ModelUnusable(told) from error
    with _silent():
        try:
            processor = transformers.AutoProcessor.from_pretrained(model, revision=revision, trust_remote_code=False)
            weights, loaded = transformers.AutoModel.from_pretrained(
                model, revision=revision, trust_remote_code=False, output_loading_info=True
            )
        except Exception as error:  # of a damaged file, of the network, of a configuration that is none
            told = f"{type(error).__name__}: {_first_line(error)}"
            raise ModelUnusable(f"{name}: {model}: {told}; expected all that save_pretrained writes") from error
    if sha256 is not None and sha256_of_folder(Path(model)) != sha256:
        raise ModelUnusable(f"{name}: {model}: changed while it was loaded; run again")
    lacks = [
        part for part in ("get_image_features", "get_text_features", "logit_scale") if not hasattr(weights, part)
    ] + [part for part in ("image_processor", "tokenizer") if not hasattr(processor, part)]
    if lacks:
        told = f"found {type(weights).__name__} with {type(processor).__name__}, which has no {lacks[0]}"
        raise ModelUnusable(f"{name}: {model}: {told}; expected a SigLIP or CLIP with its processor")
    if lost := sorted({*loaded["missing_keys"], *loaded["mismatched_keys"]}, key=str):
        told = f"found no weights for {lost[0]}" + (f", and {len(lost) - 1} more" if len(lost) > 1 else "")
        raise ModelUnusable(f"{name}: {model}: {told}; they would be random numbers")
    return Embedder(name, weights, processor, batch_size)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), "")


@contextmanager
def _silent() -> "Iterator[None]":
    """Keep bars and advice of ``transformers`` from the terminal, where ours are."""
    from transformers.utils import logging

    former = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(former)
        logging.enable_progress_bar()
