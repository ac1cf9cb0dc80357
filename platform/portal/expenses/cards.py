"""Where card numbers in free text are masked: `platform/cards`."""

from ...cards.masking import mask as mask_card_numbers

__all__ = ["mask_card_numbers"]
