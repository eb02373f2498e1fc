"""Kernel: a caption that says what a tile shows, every statement computed from the maps."""

import random
from collections.abc import Iterator

import numpy as np

from tasks.demo.imagery import TILE_PIXELS
from tasks.demo.mapdata import Product
from tasks.demo.pixels import Ground
from tasks.demo.places import COMPASS, Place
from tasks.tiles import ground_resolution, tile_corner

_TROPIC = 23.44  # the obliquity of the ecliptic [degrees]
_POLAR_CIRCLE = 66.56
_FAR_FROM_SHORE_KM = 100
_SHADED_ZOOM = 3  # further out, hills are smaller than a pixel, and edges of colour pass for shading
_MOST_DETAILS = 4  # sentences beside the first
_OPENERS: dict[Product, tuple[str, ...]] = {
    "bluemarble": (
        "This satellite image shows {view}.",
        "Blue Marble satellite mosaic of {view}.",
        "The image shows {view}, seen from space at zoom level {z}.",
        "A cloudless satellite view of {view}, about {width} km wide at its middle.",
    ),
    "relief": (
        "Shaded relief of {view}.",
        "This shaded-relief map shows {view}.",
        "A Natural Earth relief map at zoom level {z}: {view}.",
        "Shaded relief, about {width} km wide at its middle, of {view}.",
    ),
}


def describe(product: Product, place: Place, ground: Ground | None, rng: random.Random) -> str:
    """Return a caption of some 6 to 70 words.

    Args:
        product: the map that the tile was cut from.
        place: what lies there.
        ground: how its land looks; None if no cell is all land.
        rng: chooses the wording, and which of the details that apply are told.
    """
    width = _two_digits(TILE_PIXELS * _pixel_km(place))
    opener = rng.choice(_OPENERS[product]).format(view=_view(place), z=place.z, width=width)
    details = list(_details(product, place, ground, rng))
    told = sorted(rng.sample(range(len(details)), rng.randint(0, min(_MOST_DETAILS, len(details)))))
    return " ".join([opener, *(details[i] for i in told)])


def _view(place: Place) -> str:
    land, sea = place.land_share, 1 - place.land_share - place.lake_share
    if place.z == 0:
        return "the whole world, short of the poles"
    if land == 0:
        return "the open sea"
    if land < 0.02:
        return "the sea with very little land"
    if sea < 0.005:
        return "an expanse of land"
    side = _side_of_land(place)
    if side is None:
        return "the sea and scattered land" if land < 0.5 else "land broken by the sea"
    return f"the sea, with land mostly in the {side}" if land < 0.5 else f"land, most of it in the {side}, and the sea"


def _side_of_land(place: Place) -> str | None:
    """Return the side of the tile towards which its land is heavier; None if it is balanced."""
    north_up = place.land / place.land.sum()
    offset = (np.arange(len(place.land)) + 0.5) / len(place.land) - 0.5  # from the centre, in sides of the tile
    east, north = float(north_up.sum(axis=0) @ offset), -float(north_up.sum(axis=1) @ offset)
    if np.hypot(east, north) < 0.08:
        return None
    wind = round(float(np.arctan2(east, north)) / (np.pi / 4)) % len(COMPASS)
    return COMPASS[wind]


def _details(product: Product, place: Place, ground: Ground | None, rng: random.Random) -> Iterator[str]:
    """Yield all that can be said beside the view, in the order in which it is told."""
    yield _position(place, rng)
    yield _scale(place, rng)
    if place.z > 0:
        yield _zone(place)
    if 0 < place.land_share < 1:
        covered = _percent(place.land_share)
        yield rng.choice((f"Land covers {covered} of the picture.", f"The share of land is {covered}."))
    if place.lake_share >= 0.005:
        yield f"Lakes and inland seas take up {_percent(place.lake_share)} of it."
    if place.z >= 2 and place.shore.distance_km >= _FAR_FROM_SHORE_KM:
        yield _shore(place, rng)
    if ground is not None and place.land_share >= 0.05:
        if product == "relief" and place.z >= _SHADED_ZOOM:
            yield _roughness(ground)
        yield _colours(product, ground)


def _position(place: Place, rng: random.Random) -> str:
    if place.z == 0:
        return "Its centre lies where the equator meets the prime meridian."
    latitude = f"{abs(place.latitude):.0f} degrees {'north' if place.latitude > 0 else 'south'}"
    longitude = f"{abs(place.longitude):.0f} degrees {'east' if place.longitude > 0 else 'west'}"
    return rng.choice(
        (f"Its centre lies about {latitude} and {longitude}.", f"It is centred near {latitude}, {longitude}.")
    )


def _scale(place: Place, rng: random.Random) -> str:
    pixel = _two_digits(_pixel_km(place))
    return rng.choice(
        (
            f"A pixel at the centre spans about {pixel} km on the ground.",
            f"The scale is about {pixel} km a pixel at the centre.",
        )
    )


def _zone(place: Place) -> str:
    """Say in which zone of the Earth the tile lies, or which circle of latitude runs through it."""
    _, edges = tile_corner(place.z, place.x, [place.y, place.y + 1])
    low, high = np.sort(np.abs(edges))
    northern = place.latitude > 0
    if high < _TROPIC:
        return "All of it lies in the tropics."
    if low > _POLAR_CIRCLE:
        return f"All of it lies beyond the {'Arctic' if northern else 'Antarctic'} Circle."
    if low > _TROPIC and high < _POLAR_CIRCLE:
        return f"This is the {'northern' if northern else 'southern'} temperate zone."
    if low < _TROPIC:
        return f"The Tropic of {'Cancer' if northern else 'Capricorn'} crosses it."
    return f"The {'Arctic' if northern else 'Antarctic'} Circle crosses it."


def _shore(place: Place, rng: random.Random) -> str:
    distance, direction = _two_digits(place.shore.distance_km), place.shore.direction
    return rng.choice(
        (
            f"From the centre, the nearest sea coast is about {distance} km to the {direction}.",
            f"The coast nearest to its centre lies some {distance} km {direction}.",
        )
    )


def _roughness(ground: Ground) -> str:
    # The bounds are near the quartiles of the roughness of relief tiles with land, zoom 2 to 5.
    if ground.roughness < 1.2:
        return "The ground is smooth, with hardly any shading."
    if ground.roughness < 5:
        return "The shading is gentle, of plains or ice with low rises."
    if ground.roughness < 12:
        return "The shading is lively, of hills and valleys."
    return "The shading is strong and dense, of rugged mountains or broken coasts."


def _colours(product: Product, ground: Ground) -> str:
    if product == "bluemarble":
        names = ("white as snow or ice", "green with plants", "bare and sandy")
    else:
        names = ("pale or white", "green", "tan")
    shares = sorted(zip((ground.white, ground.green, ground.tan), names, strict=True), reverse=True)
    told = [f"{_percent(share)} {name}" for share, name in shares if share >= 0.05]
    if not told:
        return "The land is dark, neither white nor green nor tan."
    return f"Of the land, {_and(told)}."


def _and(parts: list[str]) -> str:
    """Join "about 60 per cent tan", "about 30 per cent green" to a clause with a verb."""
    first, *others = parts
    first = first.replace(" per cent ", " per cent is ", 1)
    return first if not others else f"{', '.join([first, *others[:-1]])} and {others[-1]}"


def _pixel_km(place: Place) -> float:
    return float(ground_resolution(place.latitude, place.z)) / 1000


def _percent(share: float) -> str:
    if share < 0.01:
        return "less than 1 per cent"
    if share > 0.99:
        return "100 per cent" if share == 1 else "nearly 100 per cent"
    return f"about {100 * share:.0f} per cent"


def _two_digits(value: float) -> str:
    """Return ``value`` to two digits: 0.87, 4.3, 160, 1,300."""
    digits = 1 - int(np.floor(np.log10(value)))
    return f"{round(value, digits):,.{max(0, digits)}f}"
