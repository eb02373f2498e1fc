"""The embedder against plain code on the same models, and what it says of models that are none."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from checkpoints import COLOURS, TOKENS, random_clip
from pairs import picture
from PIL import Image

from schemas.scorer import Checkpoint
from tasks.embed.checkpoint import pinned_checkpoint
from tasks.embed.model import Embedder, ModelUnusable, Scaling, load_embedder, scaling_of

TEXTS = ["a satellite image of a harbour", "boats", "", "forest and river " * 20]


def load(folder: Path, **settings: object) -> Embedder:
    return load_embedder(pinned_checkpoint(Checkpoint.model_validate({"name": "m", "model": str(folder), **settings})))


@pytest.fixture(scope="module")
def clip_model(clip_extra: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_clip(tmp_path_factory.mktemp("clip") / "clip")


@pytest.fixture(params=["random_model", "clip_model"])
def model(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_vectors_and_logits_are_those_of_plain_code(model: Path) -> None:
    import torch
    from transformers import AutoModel, AutoProcessor

    pictures = [picture(seed, size=(40 + seed, 64)) for seed in range(len(TEXTS))]
    plain, processor = AutoModel.from_pretrained(model), AutoProcessor.from_pretrained(model)
    inputs = processor(text=TEXTS, images=pictures, padding="max_length", truncation=True, return_tensors="pt")
    with torch.no_grad():
        expected = plain(**inputs)
    embedder = load(model)

    images, texts = embedder.images(pictures), embedder.texts(TEXTS)

    np.testing.assert_allclose(images, expected.image_embeds.numpy(), atol=1e-5)
    np.testing.assert_allclose(texts, expected.text_embeds.numpy(), atol=1e-5)
    logits = embedder.scale * (images @ texts.T) + embedder.bias
    np.testing.assert_allclose(logits, expected.logits_per_image.numpy(), atol=1e-3)
    assert images.shape == texts.shape == (len(TEXTS), embedder.dimensions)
    assert images.dtype == texts.dtype == np.float32


@pytest.mark.parametrize(
    ("setting", "bytes_first"), [({}, True), ({"do_normalize": False}, False), ({"do_rescale": False}, False)]
)
def test_pixels_are_scaled_as_the_processor_says(
    model: Path, tmp_path: Path, setting: dict[str, bool], bytes_first: bool
) -> None:
    import torch
    from transformers import AutoModel, AutoProcessor

    folder = shutil.copytree(model, tmp_path / "model")
    plain, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)
    for name, value in {"image_mean": [0.2, 0.5, 0.7], "image_std": [0.1, 0.3, 0.6], **setting}.items():
        setattr(processor.image_processor, name, value)
    processor.save_pretrained(folder)
    pictures = [picture(seed, size=(300, 40 + seed)) for seed in range(5)]
    with torch.no_grad():
        expected = plain.get_image_features(**processor(images=pictures, return_tensors="pt")).pooler_output
    embedder = load(folder)

    np.testing.assert_allclose(
        embedder.images(pictures), torch.nn.functional.normalize(expected, dim=-1).numpy(), atol=1e-5
    )
    assert (embedder.prepare(pictures[0])["pixel_values"].dtype == np.uint8) == bytes_first


def test_a_processor_that_does_more_than_scale_is_left_to_it(clip_extra: None) -> None:
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

    numbers = {"image_mean": [0.2, 0.5, 0.7], "image_std": [0.1, 0.3, 0.6]}
    plain = SiglipImageProcessorPil(size={"height": 32, "width": 32}, **numbers)
    padded = SiglipImageProcessorPil(do_resize=False, do_pad=True, pad_size={"height": 512, "width": 512}, **numbers)

    assert scaling_of(plain) == Scaling(1 / 255, *numbers.values())
    assert scaling_of(padded) is None  # in the margin is 0 after the scaling, not before it
    assert scaling_of(Siglip2ImageProcessorPil()) is None  # patches
    assert scaling_of(None) is None


def test_the_batch_size_changes_nothing_but_the_last_digits(random_model: Path) -> None:
    pictures = [picture(seed) for seed in range(7)]
    texts = [f"boats {word}" for word in COLOURS]
    one, all_at_once = load(random_model, batch_size=1), load(random_model, batch_size=64)

    np.testing.assert_allclose(one.images(pictures), all_at_once.images(pictures), atol=1e-5)
    np.testing.assert_allclose(one.texts(texts), all_at_once.texts(texts), atol=1e-5)


def test_a_gpu_changes_nothing_but_the_digits_of_its_half_precision(random_model: Path) -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    from transformers import AutoModel, AutoProcessor

    pictures = [picture(seed) for seed in range(7)]
    there = load(random_model)
    plain, processor = AutoModel.from_pretrained(random_model), AutoProcessor.from_pretrained(random_model)
    with torch.no_grad():
        pixels = processor(images=pictures, return_tensors="pt")
        here = torch.nn.functional.normalize(plain.get_image_features(**pixels).pooler_output, dim=-1)
    assert there.device == "cuda"
    np.testing.assert_allclose(there.images(pictures), here.numpy(), atol=3e-2)


def test_the_colour_model_tells_planted_classes_apart(colour_model: Path) -> None:
    embedder = load(colour_model)
    images = embedder.images([Image.new("RGB", (48, 48), colour) for colour in COLOURS.values()])
    texts = embedder.texts([f"a satellite image of {word}" for word in COLOURS])

    assert (images @ texts.T).argmax(axis=1).tolist() == list(range(len(COLOURS)))


def test_tokens_are_counted_to_the_end_of_the_text(random_model: Path) -> None:
    embedder = load(random_model)

    assert embedder.max_tokens == TOKENS
    assert embedder.count_tokens(["boats", "boats and boats", "boats " * 50]).tolist() == [2, 4, 51]
    assert embedder.count_tokens([]).shape == (0,)


def test_nothing_is_no_vector(random_model: Path) -> None:
    embedder = load(random_model)

    assert embedder.images([]).shape == embedder.texts([]).shape == (0, embedder.dimensions)


def test_another_kind_of_model_is_refused(random_model: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel

    shutil.copytree(random_model, tmp_path / "bert")
    small = BertConfig(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, vocab_size=9)
    BertModel(small).save_pretrained(tmp_path / "bert")

    with pytest.raises(ModelUnusable, match=r"found BertModel .* expected a SigLIP or CLIP"):
        load(tmp_path / "bert")


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "processor_config.json"])
def test_a_cut_file_is_told(random_model: Path, tmp_path: Path, file: str) -> None:
    shutil.copytree(random_model, tmp_path / "cut")
    path = tmp_path / "cut" / file
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    with pytest.raises(ModelUnusable, match=r"^m: .*cut: "):
        load(tmp_path / "cut")


def test_weights_that_are_missing_are_not_made_up(random_model: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(random_model, tmp_path / "part")
    path = tmp_path / "part" / "model.safetensors"
    weights = {name: part for name, part in load_file(path).items() if name != "text_model.head.weight"}
    save_file(weights, path, metadata={"format": "pt"})

    with pytest.raises(ModelUnusable, match=r"found no weights for text_model\.head\.weight; they would be random"):
        load(tmp_path / "part")


def test_weights_that_give_no_number_are_told(random_model: Path, tmp_path: Path) -> None:
    import torch
    from transformers import AutoModel

    shutil.copytree(random_model, tmp_path / "nan")
    weights = AutoModel.from_pretrained(random_model)
    with torch.no_grad():
        weights.vision_model.embeddings.patch_embedding.weight.fill_(torch.nan)
    weights.save_pretrained(tmp_path / "nan")

    with pytest.raises(ModelUnusable, match="found a vector that is not finite"):
        load(tmp_path / "nan").images([picture(0)])


def test_code_of_a_checkpoint_is_not_run(random_model: Path, tmp_path: Path) -> None:
    shutil.copytree(random_model, tmp_path / "own")
    config = json.loads((tmp_path / "own" / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoModel": "own.Own"}}
    (tmp_path / "own" / "config.json").write_text(json.dumps(config))
    (tmp_path / "own" / "own.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')\nclass Own: pass\n")

    with pytest.raises(ModelUnusable, match=r"^m: .*own: ValueError: .*expected all that save_pretrained writes"):
        load(tmp_path / "own")

    assert not (tmp_path / "run").exists()


def test_weights_that_change_while_they_are_loaded_are_told(random_model: Path, tmp_path: Path) -> None:
    shutil.copytree(random_model, tmp_path / "mine")
    pinned = pinned_checkpoint(Checkpoint(name="m", model=str(tmp_path / "mine")))
    (tmp_path / "mine" / "README.md").write_text("another one")

    with pytest.raises(ModelUnusable, match="changed while it was loaded; run again"):
        load_embedder(pinned)
