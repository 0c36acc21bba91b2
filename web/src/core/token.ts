// The key of a server that others on the network reach. It comes in the link's fragment, which browsers never send, and is
// taken out of the address at once, so that it is in no history, bookmark or screenshot.

import type { Keeper } from "./settings";

const NAME = "pocketphi.token";

/** Keep the token that the address brings, if any; whether it did. */
export function takeToken(location: Location, history: History, storage: Keeper): boolean {
  const found = /^#token=([\w~.+/=-]{1,256})$/.exec(location.hash)?.[1];
  if (found === undefined) return false;
  storage.setItem(NAME, decodeURIComponent(found));
  history.replaceState(history.state, "", location.pathname + location.search);
  return true;
}

export const token = (storage: Keeper): string | null => storage.getItem(NAME);
export const keepToken = (storage: Keeper, value: string): void => storage.setItem(NAME, value.trim());
export const forgetToken = (storage: Keeper): void => storage.removeItem(NAME);
