"""Telephone numbers by the numbering plans of the library `phonenumbers`."""

from collections.abc import Sequence
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberFormat
from typing_extensions import override

from application.contacts.phones import PhoneNumbers

_MAX_CHARACTERS: Final = 40


class NumberingPlans(PhoneNumbers):
    """`application.contacts.phones.PhoneNumbers`, of numbers that are possible, in use or not."""

    @override
    def e164(self, text: str | None, region: str) -> str | None:
        number = _parse(text, region)
        return None if number is None else _format(number, PhoneNumberFormat.E164)

    @override
    def spellings(self, text: str | None, region: str) -> Sequence[str]:
        number = _parse(text, region)
        if number is None:
            return ()
        e164 = _format(number, PhoneNumberFormat.E164)
        national = _format(number, PhoneNumberFormat.NATIONAL)
        forms = (
            e164,
            text or e164,
            e164.removeprefix("+"),
            _format(number, PhoneNumberFormat.INTERNATIONAL),
            national,
            "".join(character for character in national if character in "0123456789"),
            phonenumbers.national_significant_number(number),
        )
        return tuple(dict.fromkeys(forms))


def _parse(text: str | None, region: str) -> phonenumbers.PhoneNumber | None:
    if not text or len(text) > _MAX_CHARACTERS:
        return None
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None
    return number if phonenumbers.is_possible_number(number) else None


def _format(number: phonenumbers.PhoneNumber, form: int) -> str:
    return str(phonenumbers.format_number(number, form))
