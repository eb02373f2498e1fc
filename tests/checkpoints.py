"""Small image-text models as a user's checkpoint lies on the disk: configuration, weights, processor, tokenizer."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_TEXT = (
    "a an the of with and in on to image photo picture satellite aerial view showing shows many some dense sparse "
    "harbour boats forest river field town road bridge airport runway desert beach lake mountain snow farmland "
    "tile near two three north south long short green blue red yellow cyan magenta white black"
)
WORDS = _TEXT.split()

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (230, 30, 30),
    "green": (30, 230, 30),
    "blue": (30, 30, 230),
    "yellow": (230, 230, 30),
    "cyan": (30, 230, 230),
    "magenta": (230, 30, 230),
    "white": (230, 230, 230),
    "black": (30, 30, 30),
}
"""Classes that the colour model tells apart, each with a colour of its own."""

SIDE, TOKENS = 32, 16


def random_siglip(folder: Path, *, dimensions: int = 32, seed: int = 0, side: int = SIDE, tokens: int = TOKENS) -> Path:
    """Save a SigLIP with random weights, that tells everything from everything and knows nothing."""
    import torch
    from transformers import SiglipConfig, SiglipModel

    tokenizer = _sentencepiece(folder, tokens)
    tower = {
        "hidden_size": dimensions,
        "intermediate_size": 2 * dimensions,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config = SiglipConfig(
        text_config=tower | {"vocab_size": len(tokenizer), "max_position_embeddings": tokens, **_marks(tokenizer)},
        vision_config=tower | {"image_size": side, "patch_size": side // 4},
    )
    torch.manual_seed(seed)
    model = SiglipModel(config)
    with torch.no_grad():
        for weights in model.parameters():  # as initialised, all pictures would be nearly the same
            weights += 0.3 * torch.randn_like(weights)
        model.logit_scale.fill_(float(np.log(10.0)))
        model.logit_bias.fill_(-2.0)
    return _save(folder, model, tokenizer, side)


def random_clip(folder: Path, *, dimensions: int = 32, seed: int = 0, tokens: int = 4 * TOKENS) -> Path:
    """Save a CLIP with random weights, and a tokenizer of the kind that it has."""
    import torch
    from tokenizers import ByteLevelBPETokenizer
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    trained = ByteLevelBPETokenizer(lowercase=True, end_of_word_suffix="</w>")
    trained.train_from_iterator(
        [" ".join(WORDS)] * 20, vocab_size=400, special_tokens=["<|startoftext|>", "<|endoftext|>"]
    )
    trained.save_model(str(folder))
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"), model_max_length=tokens)
    tower = {
        "hidden_size": dimensions,
        "intermediate_size": 2 * dimensions,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "projection_dim": dimensions,
    }
    marks = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPConfig(
        text_config=tower | {"vocab_size": len(tokenizer), "max_position_embeddings": tokens, **marks},
        vision_config=tower | {"image_size": SIDE, "patch_size": SIDE // 4},
        projection_dim=dimensions,
    )
    torch.manual_seed(seed)
    model = CLIPModel(config)
    with torch.no_grad():
        for weights in model.parameters():
            weights += 0.3 * torch.randn_like(weights)
        model.logit_scale.fill_(float(np.log(10.0)))
    model.save_pretrained(folder)
    pictures = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})
    CLIPProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(folder)
    return folder


def colour_siglip(folder: Path) -> Path:
    """Save a SigLIP with weights set by hand: a text is the mean of the colours that it names, a picture its own.

    Both towers add up what is in all places alike; nothing else of them is left. A text and a picture of one of
    :data:`COLOURS` have a cosine near 1, those of two different ones a lower one.
    """
    import torch
    from transformers import SiglipConfig, SiglipModel

    tokenizer = _sentencepiece(folder, TOKENS)
    width = 8  # red, green, blue, and their negatives, so that a layer norm keeps the direction; two are never used
    text = {
        "hidden_size": width, "intermediate_size": width, "num_hidden_layers": 1, "num_attention_heads": 1,
        "vocab_size": len(tokenizer), "max_position_embeddings": TOKENS, "projection_size": width, **_marks(tokenizer),
    }  # fmt: skip
    vision = {
        "hidden_size": width, "intermediate_size": width, "num_hidden_layers": 1, "num_attention_heads": 1,
        "image_size": SIDE, "patch_size": SIDE // 4,
    }  # fmt: skip
    model = SiglipModel(SiglipConfig(text_config=text, vision_config=vision))
    with torch.no_grad():
        for weights in model.parameters():
            weights.zero_()
        for name, weights in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                weights.fill_(1.0)
        for name, weights in model.named_parameters():
            if name.endswith(("v_proj.weight", "out_proj.weight", "head.weight")):
                weights.copy_(torch.eye(width))  # attention to all places alike: their mean
            if name.endswith("in_proj_weight"):
                weights[2 * width :] = torch.eye(width)
        words = model.text_model.embeddings.token_embedding.weight
        for word, colour in COLOURS.items():
            [token] = set(tokenizer(word, add_special_tokens=False)["input_ids"])
            words[token] = 100 * torch.from_numpy(_direction(colour))
        patches = model.vision_model.embeddings.patch_embedding.weight  # (width, 3, patch, patch)
        for channel in range(3):
            patches[channel, channel] = 1.0
            patches[3 + channel, channel] = -1.0
        model.logit_scale.fill_(float(np.log(10.0)))
        model.logit_bias.fill_(-5.0)
    return _save(folder, model, tokenizer, SIDE)


def _direction(colour: tuple[int, int, int]) -> NDArray[np.float32]:
    part = np.array(colour, np.float32) / 127.5 - 1
    return np.concatenate([part, -part, np.zeros(2, np.float32)])


def _sentencepiece(folder: Path, tokens: int):  # type: ignore[no-untyped-def]  # of a package that may be missing
    import sentencepiece
    from transformers import SiglipTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    written = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([" ".join(WORDS), *WORDS] * 20),
        model_writer=written,
        model_type="word",
        vocab_size=len(WORDS) + 3,
        pad_id=-1,
        bos_id=-1,
        eos_id=1,
        unk_id=2,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    path = folder / "spiece.model"
    path.write_bytes(written.getvalue())
    return SiglipTokenizer(str(path), model_max_length=tokens, model_input_names=["input_ids"])


def _marks(tokenizer) -> dict[str, int]:  # type: ignore[no-untyped-def]
    ids = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    return ids | {"bos_token_id": tokenizer.eos_token_id}


def _save(folder: Path, model, tokenizer, side: int) -> Path:  # type: ignore[no-untyped-def]
    from transformers import SiglipImageProcessor, SiglipProcessor

    model.save_pretrained(folder)
    halves = [0.5, 0.5, 0.5]
    pictures = SiglipImageProcessor(size={"height": side, "width": side}, image_mean=halves, image_std=halves)
    SiglipProcessor(image_processor=pictures, tokenizer=tokenizer).save_pretrained(folder)
    return folder
