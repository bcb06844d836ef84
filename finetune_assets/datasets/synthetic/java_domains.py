"""The domains that the java sample's files are about, one package each. None of the places exists."""

from __future__ import annotations

from typing import NamedTuple


class Domain(NamedTuple):
    """What the files of one package are about: its words, in the spelling that Java or prose needs."""

    package: str
    Thing: str
    thing: str
    things: str
    Keeper: str
    key: str
    place: str
    amount: str
    unit: str
    states: tuple[str, str, str, str]
    events: tuple[tuple[str, str], tuple[str, str], tuple[str, str]]


DOMAINS = (
    Domain(
        *("library", "Loan", "loan", "loans", "LendingDesk", "barcode", "branch", "pages", "pages"),
        ("RESERVED", "LENT", "OVERDUE", "RETURNED"),
        (("Borrowed", "borrower"), ("Extended", "reason"), ("Returned", "condition")),
    ),
    Domain(
        *("harbour", "Berth", "berth", "berths", "HarbourOffice", "number", "quay", "metres", "metres of quay"),
        ("FREE", "BOOKED", "OCCUPIED", "CLOSED"),
        (("Docked", "vessel"), ("Moved", "tug"), ("Departed", "destination")),
    ),
    Domain(
        *("bakery", "Batch", "batch", "batches", "BakingPlan", "label", "oven", "loaves", "loaves"),
        ("MIXED", "PROVED", "BAKED", "SOLD"),
        (("Mixed", "recipe"), ("Baked", "shift"), ("Discarded", "fault")),
    ),
    Domain(
        *("garden", "Bed", "bed", "beds", "PlantingBook", "name", "terrace", "seedlings", "seedlings"),
        ("DUG", "SOWN", "GROWING", "RESTING"),
        (("Sown", "variety"), ("Watered", "gardener"), ("Harvested", "basket")),
    ),
    Domain(
        *("railway", "Wagon", "wagon", "wagons", "MarshallingYard", "code", "track", "tonnes", "tonnes"),
        ("EMPTY", "LOADED", "COUPLED", "INSPECTED"),
        (("Loaded", "cargo"), ("Coupled", "train"), ("Inspected", "inspector")),
    ),
    Domain(
        *(
            "museum",
            "Exhibit",
            "exhibit",
            "exhibits",
            "Collection",
            "inventory",
            "gallery",
            "visitors",
            "visitors a day",
        ),
        ("STORED", "RESTORED", "SHOWN", "ON_LOAN"),
        (("Acquired", "donor"), ("Restored", "conservator"), ("Shown", "exhibition")),
    ),
    Domain(
        *(
            "observatory",
            "Station",
            "station",
            "stations",
            "ObservationNetwork",
            "callSign",
            "region",
            "readings",
            "readings",
        ),
        ("PLANNED", "ACTIVE", "CALIBRATING", "RETIRED"),
        (("Installed", "engineer"), ("Calibrated", "instrument"), ("Silenced", "cause")),
    ),
    Domain(
        *("orchestra", "Part", "part", "parts", "ScoreCabinet", "desk", "section", "bars", "bars"),
        ("COPIED", "BOWED", "REHEARSED", "PERFORMED"),
        (("Copied", "copyist"), ("Marked", "player"), ("Performed", "hall")),
    ),
    Domain(
        *("apiary", "Hive", "hive", "hives", "BeeYard", "tag", "meadow", "frames", "frames of comb"),
        ("EMPTY", "SETTLED", "SWARMING", "WINTERED"),
        (("Settled", "queen"), ("Treated", "remedy"), ("Emptied", "beekeeper")),
    ),
    Domain(
        *("theatre", "Costume", "costume", "costumes", "Wardrobe", "label", "rail", "fittings", "fittings"),
        ("SKETCHED", "SEWN", "FITTED", "WORN"),
        (("Sewn", "tailor"), ("Fitted", "actor"), ("Mended", "tear")),
    ),
    Domain(
        *("vineyard", "Cask", "cask", "casks", "CellarBook", "mark", "vault", "litres", "litres"),
        ("FILLED", "FERMENTING", "RACKED", "BOTTLED"),
        (("Filled", "vintage"), ("Racked", "cellarer"), ("Tasted", "verdict")),
    ),
    Domain(
        *("pharmacy", "Remedy", "remedy", "remedies", "DispensaryLedger", "formula", "drawer", "doses", "doses"),
        ("ORDERED", "MIXED", "CHECKED", "DISPENSED"),
        (("Mixed", "chemist"), ("Checked", "witness"), ("Withdrawn", "finding")),
    ),
    Domain(
        *("airfield", "Glider", "glider", "gliders", "FlightBoard", "registration", "hangar", "hours", "hours aloft"),
        ("PARKED", "TOWED", "ALOFT", "GROUNDED"),
        (("Launched", "pilot"), ("Landed", "runway"), ("Grounded", "defect")),
    ),
    Domain(
        *("printshop", "Plate", "plate", "plates", "PressRoom", "signature", "rack", "sheets", "sheets"),
        ("ENGRAVED", "INKED", "PRINTED", "MELTED"),
        (("Engraved", "artist"), ("Inked", "colour"), ("Scratched", "mishap")),
    ),
    Domain(
        *("reservoir", "Sluice", "sluice", "sluices", "WaterBoard", "gauge", "dam", "turns", "turns of the wheel"),
        ("SHUT", "OPENING", "OPEN", "JAMMED"),
        (("Opened", "warden"), ("Greased", "lubricant"), ("Jammed", "debris")),
    ),
    Domain(
        *("archive", "Charter", "charter", "charters", "ReadingRoom", "shelfmark", "cabinet", "seals", "seals"),
        ("UNREAD", "TRANSCRIBED", "COPIED", "SEALED"),
        (("Transcribed", "scholar"), ("Photographed", "camera"), ("Lent", "institution")),
    ),
    Domain(
        *("ropeworks", "Cable", "cable", "cables", "SpinningWalk", "serial", "drum", "strands", "strands"),
        ("SPUN", "LAID", "TARRED", "SHIPPED"),
        (("Spun", "spinner"), ("Tested", "load"), ("Spliced", "rigger")),
    ),
    Domain(
        *("quarry", "Block", "block", "blocks", "StoneYard", "chisel", "bench", "tons", "tons of stone"),
        ("SPLIT", "DRESSED", "POLISHED", "DELIVERED"),
        (("Cleaved", "mason"), ("Dressed", "pattern"), ("Cracked", "flaw")),
    ),
)
