"""Figures as people read them."""


def count(value: float) -> str:
    """`1234567` as `1.23 M`, small numbers as they are."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size * 0.9995 and value >= 10_000:
            return f"{value / size:.3g} {unit}"
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes, in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}" if value < 999 * scale else f"{value / scale:,.0f} {unit}"
    return f"{value:.0f} bytes"


def duration(seconds: float) -> str:
    """`754` as `12 min 34 s`."""
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours / 24:.1f} days"


def percent(fraction: float) -> str:
    """`0.123` as `12 %`, with a decimal below ten."""
    shown = 100 * fraction
    return f"{shown:.1f} %" if 0 < shown < 9.95 else f"{shown:.0f} %"
