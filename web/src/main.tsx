// Where the page begins: draw it, read what the browser keeps, and keep the page itself for when there is no server.

import { render } from "preact";
import { App } from "./parts/App";
import { say, start, t } from "./state";
import "./style.css";

render(<App />, document.getElementById("app") as HTMLElement);
void start();

if ("serviceWorker" in navigator && import.meta.env.PROD) {
  addEventListener("load", () => {
    // Without a trusted certificate browsers refuse this; the page then simply needs its server.
    navigator.serviceWorker.register("/sw.js").then(watch).catch(() => undefined);
  });
}

function watch(registration: ServiceWorkerRegistration): void {
  const offer = (worker: ServiceWorker) => {
    const take = () => {
      navigator.serviceWorker.addEventListener("controllerchange", () => location.reload(), { once: true });
      worker.postMessage("take over");
    };
    say(t.value.newVersion, { label: t.value.reload, run: take });
  };
  if (registration.waiting && navigator.serviceWorker.controller) offer(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => {
      if (worker.state === "installed" && navigator.serviceWorker.controller) offer(worker);
    });
  });
}
