"""Figures as people read them. A figure and its unit stay on one line."""

NBSP = "\u00a0"


def count(value: float) -> str:
    """`1234567` as `1.23 M`, small numbers as they are."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size * 0.9995 and value >= 10_000:
            return f"{value / size:.3g}{NBSP}{unit}"
    return f"{value:,.0f}"


def size(value: float) -> str:
    """Bytes, in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if value >= scale:
            return f"{value / scale:.3g}{NBSP}{unit}" if value < 999 * scale else f"{value / scale:,.0f}{NBSP}{unit}"
    return f"{value:.0f} bytes"


def duration(seconds: float) -> str:
    """`754` as `12 min 34 s`."""
    whole = round(seconds)
    if seconds < 10:
        return f"{seconds:.1f}{NBSP}s"
    if whole < 60:
        return f"{whole}{NBSP}s"
    if whole < 3600:
        return f"{whole // 60}{NBSP}min {whole % 60:02d}{NBSP}s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours}{NBSP}h {minutes:02d}{NBSP}min" if hours < 48 else f"{hours / 24:.1f} days"


def percent(fraction: float) -> str:
    """`0.123` as `12 %`, with a decimal below ten and close to all."""
    shown = 100 * fraction
    if 0 < shown < 0.05:
        return f"< 0.1{NBSP}%"
    if 0 < shown < 9.95:
        return f"{shown:.1f}{NBSP}%"
    if 99 < shown < 100:
        return f"{min(shown, 99.9):.1f}{NBSP}%"
    return f"{shown:.0f}{NBSP}%"


def in_words(value: float) -> str:
    """`1234567` as `1.23 million`."""
    for unit, scale in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6), ("thousand", 1e3)):
        if value >= scale * 0.9995:
            return f"{value / scale:.3g}{NBSP}{unit}"
    return f"{value:,.0f}"
