// How answers are drawn and how the page looks: kept in this browser, and mended where what was kept makes no sense.

export interface Settings {
  temperature: number;
  top_p: number;
  top_k: number;
  max_tokens: number;
  seed: number | null;
  theme: "auto" | "light" | "dark";
  language: "auto" | "en" | "de" | "ko";
}

const NAME = "pocketphi.settings";

export const RANGES = {
  temperature: { min: 0, max: 2, step: 0.05 },
  top_p: { min: 0.05, max: 1, step: 0.05 },
  top_k: { min: 0, max: 200, step: 1 },
  max_tokens: { min: 16, max: 131_072, step: 1 },
} as const;

export const DEFAULTS: Settings = {
  temperature: 0.3,
  top_p: 0.9,
  top_k: 0,
  max_tokens: 1024,
  seed: null,
  theme: "auto",
  language: "auto",
};

export type Keeper = Pick<Storage, "getItem" | "setItem" | "removeItem">;

/** `localStorage`; where a browser forbids it, what lasts as long as the page. */
export function keeper(): Keeper {
  try {
    return localStorage;
  } catch {
    const kept = new Map<string, string>();
    return {
      getItem: (name) => kept.get(name) ?? null,
      setItem: (name, value) => void kept.set(name, value),
      removeItem: (name) => void kept.delete(name),
    };
  }
}

export function load(storage: Keeper): Settings {
  try {
    return mended(JSON.parse(storage.getItem(NAME) ?? "{}"));
  } catch {
    return DEFAULTS;
  }
}

export function save(storage: Keeper, settings: Settings): void {
  storage.setItem(NAME, JSON.stringify(settings));
}

/** The fields of a request. */
export function sampling(settings: Settings): Record<string, number> {
  const { temperature, top_p, top_k, max_tokens, seed } = settings;
  return { temperature, top_p, top_k, max_tokens, ...(seed === null ? {} : { seed }) };
}

function mended(kept: Record<string, unknown>): Settings {
  const settings = { ...DEFAULTS };
  for (const name of Object.keys(RANGES) as (keyof typeof RANGES)[]) {
    const value = kept[name];
    const { min, max } = RANGES[name];
    const isWhole = RANGES[name].step < 1 || Number.isInteger(value);
    if (typeof value === "number" && isWhole && value >= min && value <= max) settings[name] = value;
  }
  const { seed, theme, language } = kept;
  if (typeof seed === "number" && Number.isSafeInteger(seed) && seed >= 0) settings.seed = seed;
  if (theme === "light" || theme === "dark") settings.theme = theme;
  if (language === "en" || language === "de" || language === "ko") settings.language = language;
  return settings;
}
