"""Questions about energy, climate and units whose answers are arithmetic, worked out here.

Every answer states its working as `a × b = c` (or `≈`, rounded to four figures), so that a test can work it out again.
What is taken for granted (a lamp's watts, a grid's carbon intensity) stands in the question, so that the answer is true
whatever the world does. No text is anybody's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_EVEN, Context, Decimal

from finetune_assets.datasets.synthetic.texts import Draw

_MOST_OF_A_KIND = 40
_FIGURES = Context(prec=4, rounding=ROUND_HALF_EVEN)


# Who asks: without it, questions of one kind would differ in their numbers alone and count as near-duplicates.
_ASKERS = (
    "A teacher in Aldermoor prepares a lesson.",
    "The caretaker of a sports hall keeps a ledger.",
    "For the yearly report of a bakery:",
    "My neighbour and I disagree about this.",
    "Our village council votes on Thursday.",
    "A pupil's homework says:",
    "I am comparing two offers for my flat.",
    "The museum plans a small exhibition.",
    "Before we renovate the old mill:",
    "A journalist checks a figure.",
    "While planning a holiday cottage on Tern Island:",
    "The choir wants to offset its concert tour.",
    "Question from the workshop floor:",
    "An allotment club asks.",
    "I found this in my grandfather's notebook.",
    "The hospital's technical office needs a number.",
    "Somebody at the market asked me this:",
    "For a quiz night in the library:",
    "We run a guest house by the lake.",
    "A farmer near Hollowbeck writes:",
    "The ferry company publishes its data.",
    "To fill in a grant application:",
    "An engineer on call wants a quick check.",
    "Preparing a talk for the scouts:",
    "Our student newspaper needs the working.",
    "The harbour master keeps records.",
    "A brewery wants to improve.",
    "From the help desk of a utility:",
    "While reading the meter in the cellar I wondered:",
    "The mountain hut reopens in June.",
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One question with its answer.

    Attributes:
        topic: what it is about, a word.
        question: the question.
        wording: another way to ask it.
        answer: the answer with its working.
        follow_up: what somebody asks next, relying on what was said.
        follow_answer: the answer to that.
        material: numbers that the question can be asked about as a task, for instructions with an input.
        task: the instruction that belongs to the material.
    """

    topic: str
    question: str
    wording: str
    answer: str
    follow_up: str
    follow_answer: str
    material: str
    task: str


def number(value: Decimal) -> str:
    """Return a number as people write it: up to four figures, thousands set off by commas."""
    plain = value.normalize(_FIGURES)
    return f"{plain:,f}"


def working(left: str, value: Decimal, unit: str) -> str:
    """Return `left = value unit`, or `≈` where the value is rounded."""
    sign = "=" if value == value.normalize(_FIGURES) else "≈"
    return f"{left} {sign} {number(value)} {unit}".rstrip()


def _energy_units(draw: Draw) -> Fact:
    amount = Decimal(draw.between(2, 400))
    mega, back = amount * Decimal("3.6"), amount * 1000
    return Fact(
        "energy",
        f"How many megajoules are {number(amount)} kWh?",
        f"Convert {number(amount)} kilowatt hours to MJ.",
        f"One kilowatt hour is 3.6 MJ. {working(f'{number(amount)} kWh × 3.6 MJ/kWh', mega, 'MJ')}.",
        "And how many watt hours is that?",
        f"One kilowatt hour is 1,000 Wh. {working(f'{number(amount)} kWh × 1,000 Wh/kWh', back, 'Wh')}.",
        f"Meter reading: {number(amount)} kWh",
        "Convert the reading to megajoules.",
    )


def _appliance(draw: Draw) -> Fact:
    name, low, high = draw.one([("lamp", 4, 100), ("fan", 20, 75), ("heater", 500, 2500), ("refrigerator", 60, 200)])
    watts, hours = Decimal(draw.between(low, high)), Decimal(draw.between(2, 24))
    used = watts * hours / 1000
    month = used * 30
    return Fact(
        "energy",
        f"A {name} of {number(watts)} W runs for {number(hours)} hours. How much energy does it use?",
        f"What does a {number(watts)} W {name} consume in {number(hours)} hours?",
        f"Energy is power times time.\n{working(f'{number(watts)} W × {number(hours)} h ÷ 1,000', used, 'kWh')}.",
        "And in 30 such days?",
        f"{working(f'{number(used)} kWh × 30', used.normalize(_FIGURES) * 30, 'kWh')}."
        if used == used.normalize(_FIGURES)
        else f"{working(f'{number(watts)} W × {number(hours)} h × 30 ÷ 1,000', month, 'kWh')}.",
        f"{name}: {number(watts)} W, {number(hours)} h",
        "Work out the energy in kilowatt hours.",
    )


def _grid(draw: Draw) -> Fact:
    used, intensity = Decimal(draw.between(5, 900)), Decimal(draw.between(4, 160) * 5)
    kilos = used * intensity / 1000
    return Fact(
        "emissions",
        f"A household uses {number(used)} kWh from a grid of {number(intensity)} gCO₂eq/kWh. What does that emit?",
        f"How much CO₂eq comes with {number(used)} kWh at {number(intensity)} g/kWh?",
        "Emissions are energy times carbon intensity.\n"
        f"{working(f'{number(used)} kWh × {number(intensity)} g/kWh ÷ 1,000', kilos, 'kg')} CO₂eq.",
        "What if the carbon intensity were half as high?",
        "Emissions follow the carbon intensity, so they halve: "
        f"{working(f'{number(used)} kWh × {number(intensity / 2)} g/kWh ÷ 1,000', kilos / 2, 'kg')} CO₂eq.",
        f"Use: {number(used)} kWh\nCarbon intensity: {number(intensity)} gCO₂eq/kWh",
        "Work out the emissions in kilograms.",
    )


def _equivalent(draw: Draw) -> Fact:
    gas, factor = draw.one([("methane", 28), ("nitrous oxide", 265), ("sulphur hexafluoride", 23500)])
    mass = Decimal(draw.between(2, 500))
    total = mass * factor
    return Fact(
        "emissions",
        f"Taking a 100-year warming potential of {factor:,}, what are {number(mass)} t of {gas} in CO₂ equivalents?",
        f"Express {number(mass)} t of {gas} as CO₂eq, with a GWP100 of {factor:,}.",
        f"Multiply the mass by the warming potential: {working(f'{number(mass)} t × {factor:,}', total, 't')} CO₂eq.",
        f"What would one tonne of {gas} be?",
        f"With the same potential, 1 t × {factor:,} = {factor:,} t CO₂eq.",
        f"Gas: {gas}\nMass: {number(mass)} t\nGWP100: {factor:,}",
        "Express the mass as CO₂ equivalents.",
    )


def _carbon(draw: Draw) -> Fact:
    carbon = Decimal(draw.between(1, 300) * 12)
    dioxide = carbon * 44 / 12
    return Fact(
        "emissions",
        f"How much CO₂ forms when {number(carbon)} kg of carbon burn completely?",
        f"{number(carbon)} kg of carbon is burnt completely. What mass of carbon dioxide is that?",
        "12 g of carbon make 44 g of CO₂, because two oxygen atoms of 16 g join each carbon atom.\n"
        f"{working(f'{number(carbon)} kg × 44 ÷ 12', dioxide, 'kg')}.",
        "How much of that is oxygen?",
        f"The rest of the mass: {working(f'{number(carbon)} kg × 32 ÷ 12', carbon * 32 / 12, 'kg')} of oxygen.",
        f"Carbon burnt: {number(carbon)} kg",
        "Work out the mass of carbon dioxide.",
    )


def _absolute_temperature(draw: Draw) -> Fact:
    celsius = Decimal(draw.between(-40, 90)) / 2
    fahrenheit = celsius * Decimal("1.8") + 32
    return Fact(
        "temperature",
        f"What is {number(celsius)} °C in degrees Fahrenheit?",
        f"Convert a temperature of {number(celsius)}°C to °F.",
        f"Multiply by 1.8 and add 32: {working(f'{number(celsius)} × 1.8 + 32', fahrenheit, '°F')}.",
        "And in kelvin?",
        f"Add 273.15: {_kelvin(celsius)}.",
        f"Thermometer: {number(celsius)} °C",
        "Give the temperature in degrees Fahrenheit.",
    )


def _kelvin(celsius: Decimal) -> str:
    return f"{number(celsius)} + 273.15 = {celsius + Decimal('273.15')} K"


def _warming(draw: Draw) -> Fact:
    rise = Decimal(draw.between(5, 60)) / 10
    return Fact(
        "temperature",
        f"A region warms by {number(rise)}°C. What rise is that in °F?",
        f"Express a warming of {number(rise)} degrees Celsius as a change in degrees Fahrenheit.",
        f"A change has no offset of 32: {working(f'{number(rise)} × 1.8', rise * Decimal('1.8'), '°F')}.",
        "Why is 32 not added?",
        "Because 32 °F is where the Fahrenheit scale has 0 °C. A difference between two temperatures does not depend "
        "on where a scale begins.",
        f"Warming: {number(rise)} °C",
        "Give the change in degrees Fahrenheit.",
    )


def _rain(draw: Draw) -> Fact:
    depth, area = Decimal(draw.between(2, 120)), Decimal(draw.between(5, 400))
    litres = depth * area
    return Fact(
        "water",
        f"{number(depth)} mm of rain fall on a roof of {number(area)} m². How much water is that?",
        f"How many litres does a roof of {number(area)} m² catch from {number(depth)} mm of rain?",
        "One millimetre on one square metre is one litre.\n"
        f"{working(f'{number(depth)} mm × {number(area)} m²', litres, 'L')}.",
        "How many cubic metres?",
        f"1,000 L are 1 m³: {working(f'{number(depth)} × {number(area)} ÷ 1,000', litres / 1000, 'm³')}.",
        f"Rain: {number(depth)} mm\nRoof: {number(area)} m²",
        "Work out the water in litres.",
    )


def _leak(draw: Draw) -> Fact:
    drops = Decimal(draw.between(5, 90))
    day = drops * 60 * 24 / 4000
    return Fact(
        "water",
        f"A tap loses {number(drops)} drops a minute. At 4,000 drops a litre, what is lost in a day?",
        f"How much water does a tap lose in a day at {number(drops)} drops a minute, 4,000 drops being a litre?",
        f"- A day has 60 × 24 = 1,440 minutes.\n- {working(f'{number(drops)} × 1,440 ÷ 4,000', day, 'L')} a day.",
        "And in a year of 365 days?",
        f"{working(f'{number(drops)} × 1,440 × 365 ÷ 4,000', day * 365, 'L')}.",
        f"Drops a minute: {number(drops)}\nDrops a litre: 4,000",
        "Work out the loss of a day in litres.",
    )


def _solar(draw: Draw) -> Fact:
    area, share = Decimal(draw.between(4, 120)), Decimal(draw.between(15, 24))
    hours = Decimal(draw.between(6, 60)) / 10
    kilowatts = area * share / 100
    return Fact(
        "solar",
        f"Panels of {number(area)} m² turn {number(share)}% of the light into electricity. What is their power at "
        "1,000 W/m²?",
        f"What do {number(area)} m² of panels of {number(share)}% efficiency yield under 1,000 W/m²?",
        f"Area × irradiance × efficiency: {working(f'{number(area)} × 1 kW/m² × {number(share)}%', kilowatts, 'kW')}.",
        f"How much energy in {number(hours)} hours of such sun?",
        f"{working(f'{number(area)} × {number(share)}% × {number(hours)} h', kilowatts * hours, 'kWh')}.",
        f"Area: {number(area)} m²\nEfficiency: {number(share)}%\nIrradiance: 1 kW/m²",
        "Work out the power in kilowatts.",
    )


def _wind(draw: Draw) -> Fact:
    megawatts, factor = Decimal(draw.between(10, 120)) / 10, Decimal(draw.between(18, 55))
    year = megawatts * factor / 100 * 8760
    return Fact(
        "wind",
        f"A turbine of {number(megawatts)} MW has a capacity factor of {number(factor)}%. What does it yield in a "
        "year?",
        f"Work out the yearly yield of {number(megawatts)} MW of wind power at a capacity factor of {number(factor)}%.",
        "A year has 365 × 24 = 8,760 hours.\n"
        f"{working(f'{number(megawatts)} MW × 8,760 h × {number(factor)}%', year, 'MWh')}.",
        "What if it stood still for half of the year?",
        "It would yield half as much: "
        f"{working(f'{number(megawatts)} MW × 4,380 h × {number(factor)}%', year / 2, 'MWh')}.",
        f"Power: {number(megawatts)} MW\nCapacity factor: {number(factor)}%",
        "Work out the yield of 8,760 hours in MWh.",
    )


def _land(draw: Draw) -> Fact:
    hectares, tonnes = Decimal(draw.between(2, 900)), Decimal(draw.between(10, 90)) / 10
    return Fact(
        "land",
        f"A forest of {number(hectares)} ha binds {number(tonnes)} t of CO₂ per hectare and year. How much is that in "
        "a year?",
        f"What do {number(hectares)} ha of forest bind in a year, at {number(tonnes)} t CO₂ a hectare?",
        f"{working(f'{number(hectares)} ha × {number(tonnes)} t/ha', hectares * tonnes, 't')} of CO₂.",
        "How many square metres is the forest?",
        f"A hectare is 10,000 m². {working(f'{number(hectares)} ha × 10,000 m²/ha', hectares * 10000, 'm²')}.",
        f"Area: {number(hectares)} ha\nUptake: {number(tonnes)} t CO₂/ha a year",
        "Work out the yearly uptake.",
    )


def _cut(draw: Draw) -> Fact:
    before, share = Decimal(draw.between(20, 900) * 10), Decimal(draw.between(1, 18) * 5)
    saved = before * share / 100
    return Fact(
        "emissions",
        f"A plant emits {number(before)} t of CO₂ a year and cuts that by {number(share)}%. What is left?",
        f"What remains of {number(before)} t of CO₂ after a cut of {number(share)}%?",
        f"- Saved: {working(f'{number(before)} t × {number(share)}%', saved, 't')}\n"
        f"- Left: {working(f'{number(before)} t × {number(100 - share)}%', before - saved, 't')}",
        "How much would a price of $50/t cost it now?",
        f"{working(f'{number(before)} × {number(100 - share)}% × 50', (before - saved) * 50, 'dollars')} a year.",
        f"Before: {number(before)} t CO₂ a year\nCut: {number(share)}%",
        "Work out what is left.",
    )


_MAKERS: Mapping[str, Callable[[Draw], Fact]] = {
    maker.__name__.strip("_"): maker
    for maker in (
        _energy_units,
        _appliance,
        _grid,
        _equivalent,
        _carbon,
        _absolute_temperature,
        _warming,
        _rain,
        _leak,
        _solar,
        _wind,
        _land,
        _cut,
    )
}


def facts(draw: Draw, count: int) -> list[Fact]:
    """Return facts of every kind in turn, no question twice, each asked by somebody.

    Args:
        draw: where the choices come from.
        count: how many; at most 40 of each kind, for some kinds have few different numbers.

    Raises:
        ValueError: for more than that.
    """
    makers = list(_MAKERS.values())
    if count > _MOST_OF_A_KIND * len(makers):
        raise ValueError(f"at most {_MOST_OF_A_KIND * len(makers)} facts can be had, {count} are asked for")
    asked: set[str] = set()
    found: list[Fact] = []
    while len(found) < count:
        fact = makers[len(found) % len(makers)](draw)
        if fact.question not in asked:
            asked.add(fact.question)
            found.append(replace(fact, question=f"{draw.one(_ASKERS)} {fact.question}"))
    return found
