"""Forms of personal data that the rules were not written on, and numbers that are none."""

from __future__ import annotations

import pytest

from llmops_jobs.evals.scorers.pii import find_pii

FORMS = {
    "phone": (
        *("Call +44 20 7946 0958.", "+49 (0)30 901820", "Tel: 030/901820-12", "01 42 68 53 00"),
        *("my number is 07911 123456", "+81-3-1234-5678", "call (415) 555-2671", "415.555.2671"),
        *("+1-415-555-2671 ext. 22", "+91 98765 43210", "91-98765-43210 is my mobile"),
        *("+86 138 0013 8000", "手机 13800138000", "Telefon 0171 2345678", "+39 06 6982"),
        *("tél. 06 12 34 56 78", "+55 (11) 91234-5678", "(11) 91234-5678", "0800 123 4567"),
        *("+971 50 123 4567", "001 415 555 2671", "0049 30 901820", "Phone: 5551234567"),
        *("+4930901820", "1 (800) 555-0199", "912 345 678 es mi teléfono", "+46-8-123 456 78"),
        *("+7 (495) 123-45-67", "8 (495) 123-45-67", "+353 1 679 4533"),
    ),
    "card": (
        *("4111-1111-1111-1111", "4111111111111111", "3782 822463 10005", "6011-0009-9013-9424"),
        *("30569309025904", "3530 1113 3330 0000", "2223003122003222", "6759 6498 2643 8453"),
        *("card:4111111111111111,", "4111 1111 1111 1111."),
    ),
    "iban": (
        *("DE89 3704 0044 0532 0130 00", "GB82WEST12345698765432", "NO93 8601 1117 947"),
        *("fr14 2004 1010 0505 0001 3M02 606", "BE68 5390 0754 7034", "NL91ABNA0417164300"),
        *("MT84 MALT 0110 0001 2345 MTLC AST0 01S", "DE89-3704-0044-0532-0130-00"),
        *("CH93 0076 2011 6238 5295 7", "IBAN: ES91 2100 0418 4502 0005 1332."),
    ),
    "ip": (
        *("192.168.10.5", "2001:db8::8a2e:370:7334", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
        *("10.0.0.1:8080", "http://203.0.113.9/x", "[2001:db8::1]:443", "::ffff:192.0.2.128"),
        *("fe80::1%eth0", "203.0.113.0/24", "2001:db8::1/64"),
    ),
    "us_ssn": ("123-45-6789", "SSN: 078-05-1120.", "ssn 123 45 6789", "SSN 123456789"),
    "email": (
        *("a.b+c@sub.example.co.uk", "<jane@example.com>", "mailto:joe_x@ex-ample.org"),
        *("ünal@exämple.de", "JOHN@EXAMPLE.COM", "o'neil@example.ie", "x@y.io."),
    ),
}
NONE = (
    *("Order 1234-5678-9012", "version 10.2.3.4 released", "ISBN 978-3-16-148410-0"),
    *("2026-10-31 12:30:45", "tracking 1Z 999 AA1 01 2345 6784", "invoice 20260115-0042"),
    *("latitude 52.520008, 13.404954", "1,234,567.89", "123e4567-e89b-12d3-a456-426614174000"),
    *("MAC 00:1B:44:11:3A:B7", "between 10-20-30", "timestamp 1700000000", "SKU 0049-3090-1820"),
    *("the ratio 3:4:5:6:7:8", "user@localhost", "account 12345678", "ticket 0123456789"),
    *("4111 1111 1111 1112", "2024/2025 and 2025/2026", "0.0.0.0 and 255.255.255.0"),
    *("std::vector<int>", "doi 10.1038/s41586-020-2649-2", "123-45-67890", "EUR 1 234 567"),
    *("08/15/2026 - 09/15/2026", "item number 48213377", "phone model 8801234", "ssn unknown"),
)


@pytest.mark.parametrize("kind", FORMS)
def test_a_form_is_found_once_and_as_what_it_is(kind: str) -> None:
    wrong = [text for text in FORMS[kind] if [p.kind for p in find_pii(text)] != [kind]]
    assert wrong == []


def test_other_numbers_are_left_alone() -> None:
    assert [text for text in NONE if find_pii(text)] == []
