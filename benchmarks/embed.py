"""Pairs/s of the embed stage, against plain `transformers` code that does one thing after the other, and its parts.

All take the same pairs of a source, in turn, several times in one run. The model is a checkpoint of yours, on a GPU if
there is one, or one of random weights in the shape of Git-RSCLIP (`large`: a SigLIP-large, 256 x 256 pixels, patches of
16, 64 tokens) or a smaller one: what a model has learned costs no time.

    python -m benchmarks.embed --source demo/source --size base --pairs 128
    python -m benchmarks.embed --source /data/Git-10M --model lcybuaa/Git-RSCLIP --pairs 20000
"""

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from schemas.scorer import Checkpoint
from schemas.source import FileSource
from tasks.embed.checkpoint import pinned_checkpoint
from tasks.embed.model import Embedder, load_embedder
from tasks.embed.pairs import Pair, embed_pairs, open_picture
from tasks.scan.images import byte_views
from tasks.source.columns import facts, images, resolve
from tasks.source.listing import list_shards
from tasks.source.pairs import shown_of
from tasks.source.read import read_batches, read_schema

GIT10M_PAIRS = 10_503_567
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF")


class Shape(NamedTuple):
    """What both towers of a SigLIP are like."""

    hidden: int
    intermediate: int
    layers: int
    heads: int


SHAPES = {"tiny": Shape(64, 128, 2, 4), "base": Shape(768, 3072, 12, 12), "large": Shape(1024, 4096, 24, 16)}


def pairs_of(source: FileSource, count: int) -> Iterator[Pair]:
    """Yield the first ``count`` pairs that have a picture, copied: they are read again and again."""

    def every() -> Iterator[Pair]:
        for shard in list_shards(source):
            layout = shown_of(resolve(read_schema(shard), source.columns.model_dump()))
            for batch in read_batches(shard, layout.names()):
                texts = facts(batch, layout).columns.get("caption")
                captions = [None] * batch.num_rows if texts is None else texts.to_pylist()
                for view, caption in zip(byte_views(images(batch, layout)), captions, strict=True):
                    if view is not None and open_picture(view, FORMATS) is not None:
                        yield Pair(memoryview(bytes(view)), caption or "a tile")

    return islice(every(), count)


def make_checkpoint(folder: Path, shape: Shape, texts: Sequence[str]) -> Path:
    """Save a SigLIP of random weights, its tokenizer trained on ``texts``."""
    import sentencepiece
    import torch
    from transformers import SiglipConfig, SiglipImageProcessor, SiglipModel, SiglipProcessor, SiglipTokenizer

    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts), model_writer=written, vocab_size=4000, hard_vocab_limit=False,
        pad_id=-1, bos_id=-1, eos_id=1, unk_id=2, minloglevel=2,
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(written.getvalue())
    tokenizer = SiglipTokenizer(str(folder / "spiece.model"), model_max_length=64, model_input_names=["input_ids"])
    tower = {
        "hidden_size": shape.hidden, "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers, "num_attention_heads": shape.heads,
    }  # fmt: skip
    marks = {"pad_token_id": 1, "bos_token_id": 1, "eos_token_id": 1}
    torch.manual_seed(0)
    config = SiglipConfig(
        text_config=tower | marks | {"vocab_size": len(tokenizer), "max_position_embeddings": 64},
        vision_config=tower | {"image_size": 256, "patch_size": 16},
    )
    SiglipModel(config).save_pretrained(folder)
    halves = [0.5, 0.5, 0.5]
    pictures = SiglipImageProcessor(size={"height": 256, "width": 256}, image_mean=halves, image_std=halves)
    SiglipProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def plain(checkpoint: Checkpoint, device: str, dtype: str) -> Callable[[Sequence[Pair]], None]:
    """Return the loop that a person would write with `transformers`."""
    import torch
    from transformers import AutoModel, AutoProcessor

    processor = AutoProcessor.from_pretrained(checkpoint.model, revision=checkpoint.revision)
    model: Any = AutoModel.from_pretrained(checkpoint.model, revision=checkpoint.revision)
    model = model.to(device, getattr(torch, dtype)).eval()

    def run(pairs: Sequence[Pair]) -> None:
        for start in range(0, len(pairs), checkpoint.batch_size):
            batch = pairs[start : start + checkpoint.batch_size]
            pictures = [Image.open(io.BytesIO(pair.image or b"")).convert("RGB") for pair in batch]
            inputs = processor(
                text=[pair.caption for pair in batch], images=pictures,
                padding="max_length", truncation=True, return_tensors="pt",
            ).to(device)  # fmt: skip
            inputs["pixel_values"] = inputs["pixel_values"].to(model.dtype)
            with torch.inference_mode():
                model(**inputs).image_embeds.float().cpu().numpy()

    return run


def parts(embedder: Embedder, pairs: Sequence[Pair], batch_size: int) -> dict[str, Callable[[], object]]:
    """Return the parts of the work, each alone."""
    pictures = [open_picture(pair.image or b"", FORMATS) for pair in pairs]
    prepared = [embedder.prepare(picture) for picture in pictures[:batch_size] if picture is not None]
    captions = [pair.caption or "" for pair in pairs]

    def decode() -> None:
        for pair in pairs:
            picture = open_picture(pair.image or b"", FORMATS)
            assert picture is not None
            embedder.prepare(picture)

    def pictures_alone() -> None:
        for start in range(0, len(pairs), batch_size):
            embedder.prepared_images(prepared[: len(pairs[start : start + batch_size])])

    return {
        "decode and prepare, one thread": decode,
        "pictures, the model alone": pictures_alone,
        "captions, the model alone": lambda: embedder.texts(captions),
    }


def main() -> None:
    """Measure in turn, and print a table and what it means for all of Git-10M."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="pairs: a folder, file or glob")
    parser.add_argument("--model", help="a folder, or an id of the Hub; else random weights")
    parser.add_argument("--size", choices=SHAPES, default="base", help="of random weights")
    parser.add_argument("--pairs", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    pairs = list(pairs_of(FileSource(name="pairs", path=options.source), options.pairs))
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or str(
            make_checkpoint(Path(folder), SHAPES[options.size], [pair.caption or "" for pair in pairs])
        )
        checkpoint = pinned_checkpoint(Checkpoint(name="model", model=model, batch_size=options.batch_size))
        embedder = load_embedder(checkpoint)
        by_hand = plain(checkpoint, embedder.device, embedder.dtype)

        def ours() -> None:
            for _ in embed_pairs(pairs, embedder, options.batch_size, "whole", FORMATS):
                pass

        work: dict[str, Callable[[], object]] = {
            "embed": ours,
            "plain transformers": lambda: by_hand(pairs),
            **parts(embedder, pairs, options.batch_size),
        }
        taken: dict[str, list[float]] = {name: [] for name in work}
        for run in work.values():  # once, and not counted
            run()
        for _ in range(options.rounds):
            for name, run in work.items():
                begin = time.perf_counter()
                run()
                taken[name].append(time.perf_counter() - begin)
    rates = {name: len(pairs) / statistics.median(seconds) for name, seconds in taken.items()}
    named = options.model or f"random weights, {options.size}"
    print(f"{named}, {embedder.device}, {embedder.dtype}, {len(pairs):,} pairs, batches of {options.batch_size}\n")
    print("| | pairs/s | of plain transformers |\n|---|---:|---:|")
    for name, rate in rates.items():
        print(f"| {name} | {rate:,.2f} | {rate / rates['plain transformers']:.2f} |")
    hours = GIT10M_PAIRS / rates["embed"] / 3600
    size = GIT10M_PAIRS * 2 * embedder.dimensions * np.dtype(np.float16).itemsize
    print(f"\nAll {GIT10M_PAIRS:,} pairs: {hours:,.1f} hours at this rate, {size / 1e9:.1f} GB of vectors.")


if __name__ == "__main__":
    main()
