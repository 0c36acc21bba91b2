// The page without its server: its own files, kept under a version and served from there. The API is never touched: an
// answer that was kept would be a lie. A new version waits until the page asks for it, so no chat is reloaded under
// anybody's hands.

const VERSION = "pocketphi-__VERSION__";
const FILES = __FILES__;

self.addEventListener("install", (event) => {
  const options = { cache: "reload" };
  event.waitUntil(
    caches.open(VERSION).then((cache) => cache.addAll(FILES.map((file) => new Request(file, options)))),
  );
});

self.addEventListener("activate", (event) => {
  const clear = caches
    .keys()
    .then((names) => Promise.all(names.filter((name) => name !== VERSION).map((name) => caches.delete(name))));
  event.waitUntil(clear.then(() => self.clients.claim()));
});

self.addEventListener("message", (event) => {
  if (event.data === "take over") self.skipWaiting();
});

self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  const isOurs = url.origin === self.location.origin && event.request.method === "GET" && FILES.includes(url.pathname);
  if (!isOurs) return;
  event.respondWith(caches.match(url.pathname, { cacheName: VERSION }).then((kept) => kept ?? fetch(event.request)));
});
