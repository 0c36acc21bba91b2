// Which language the page speaks: the one that was set, or the first of the browser's that it knows.

import { de } from "../i18n/de";
import { en, type Words } from "../i18n/en";
import { ko } from "../i18n/ko";
import type { Settings } from "./settings";

const LANGUAGES = { en, de, ko } as const;
export type Language = keyof typeof LANGUAGES;

export function language(setting: Settings["language"], preferred: readonly string[]): Language {
  if (setting !== "auto") return setting;
  for (const tag of preferred) {
    const name = tag.slice(0, 2).toLowerCase();
    if (Object.hasOwn(LANGUAGES, name)) return name as Language;
  }
  return "en";
}

export const words = (of: Language): Words => LANGUAGES[of];
