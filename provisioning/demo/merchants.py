"""Made-up merchants by trade. None of them exists, as far as we know."""

from decimal import Decimal
from enum import Enum


class Trade(Enum):
    """What a category of the disbursements is spent on, and on how much at a time (USD)."""

    PAYROLL = "payroll", Decimal(90_000)
    TRAVEL = "travel", Decimal(420)
    PREMISES = "premises", Decimal(1_900)
    PRINT = "print", Decimal(2_400)
    SERVICES = "services", Decimal(2_200)
    SUPPLIES = "supplies", Decimal(260)
    EQUIPMENT = "equipment", Decimal(1_600)
    MAIL = "mail", Decimal(2_800)
    FREIGHT = "freight", Decimal(150)

    @property
    def typical(self) -> Decimal:
        """Size of one purchase in USD."""
        return self.value[1]


_TRADES = {
    "Personnel compensation": Trade.PAYROLL,
    "Personnel benefits": Trade.PAYROLL,
    "Benefits to former personnel": Trade.PAYROLL,
    "Travel": Trade.TRAVEL,
    "Rent, communication, utilities": Trade.PREMISES,
    "Printing and reproduction": Trade.PRINT,
    "Supplies and materials": Trade.SUPPLIES,
    "Equipment": Trade.EQUIPMENT,
    "Franked mail": Trade.MAIL,
    "Transportation of things": Trade.FREIGHT,
}
MERCHANTS: dict[Trade, tuple[str, ...]] = {
    Trade.PAYROLL: ("Payroll run", "Payroll run, part-time staff", "Payroll run, interns", "Stipends"),
    Trade.TRAVEL: (
        "Bluebird Rail",
        "Capital Cab Co-op",
        "Meridian Airways",
        "Parkside Hotel",
        "Union Street Inn",
        "Two Rivers Car Hire",
        "Harvest Table Diner",
        "Skyline Air Shuttle",
    ),
    Trade.PREMISES: ("Elm Court Properties", "Clearline Telecom", "Beacon Power & Light", "Northgate Wireless"),
    Trade.PRINT: ("Quill & Press", "Broadsheet Printers", "Paper Lantern Graphics"),
    Trade.SERVICES: (
        "Fairway Web Services",
        "Ledger & Lane Consulting",
        "Bright Spark IT",
        "Courier Dispatch News Service",
        "Open Door Interpreters",
        "Tidewater Training",
    ),
    Trade.SUPPLIES: (
        "Corner Stationers",
        "Bulk & Basket",
        "Spring Hill Water",
        "Roastery No. 9",
        "The Book Cellar",
        "Morning Post Subscriptions",
    ),
    Trade.EQUIPMENT: ("Keystone Computers", "Lamplight Office Furniture", "Copper Wire Electronics"),
    Trade.MAIL: ("Franking account", "Pillar Box Mailing House"),
    Trade.FREIGHT: ("Overland Movers", "Swift Parcel"),
}


# For what is far above one purchase of its trade.
_CONTRACTS: dict[Trade, tuple[str, ...]] = {
    Trade.TRAVEL: ("Meridian Airways, group booking", "Parkside Hotel, hearing block booking"),
    Trade.PREMISES: ("Elm Court Properties, quarterly lease", "Clearline Telecom, annual contract"),
    Trade.SERVICES: ("Fairway Web Services, annual contract", "Ledger & Lane, consulting contract"),
    Trade.SUPPLIES: (
        "Statute & Record, research database",
        "Morning Post, site licence",
        "Bulk & Basket, annual order",
    ),
    Trade.EQUIPMENT: ("Keystone Computers, office refit", "Copper Wire Electronics, hearing room"),
}
_CONTRACT_FROM = 6  # times the typical purchase


def merchants_for(trade: Trade, amount: Decimal) -> tuple[str, ...]:
    """Merchants where `amount` USD may be spent at once."""
    is_contract = amount > _CONTRACT_FROM * trade.typical
    return _CONTRACTS.get(trade, MERCHANTS[trade]) if is_contract else MERCHANTS[trade]


def trade_of(category: str) -> Trade:
    """The trade of a category; services where none is known."""
    return _TRADES.get(category, Trade.SERVICES)
