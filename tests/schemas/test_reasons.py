from schemas.reasons import REASONS, Reason, Stage, mask_of


def test_reasons_are_in_stage_order_so_that_the_lowest_bit_is_primary() -> None:
    stages = [list(Stage).index(reason.stage) for reason in REASONS]
    assert stages == sorted(stages)
    assert [reason.bit for reason in REASONS] == [1 << position for position in range(len(REASONS))]


def test_every_stage_has_reasons_and_masks_do_not_overlap() -> None:
    masks = [mask_of(stage=stage) for stage in Stage]
    assert all(masks)
    assert sum(masks) == (1 << len(REASONS)) - 1
    assert all(reason.meaning.endswith(".") for reason in Reason)
