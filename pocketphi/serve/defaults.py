"""How answers are drawn where nobody says otherwise: one definition for the terminal, the server and the page.

A small model at OpenAI's temperature of 1 strays; at these it keeps to the point and still varies.
"""

TEMPERATURE = 0.3
TOP_P = 0.9
