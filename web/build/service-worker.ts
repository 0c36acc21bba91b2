// Writes sw.js at the end of a build: the worker's source with the list of files that make up the page, and a version
// that changes whenever one of them does.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

export function serviceWorker(): Plugin {
  let out = "";
  let root = "";
  return {
    name: "pocketphi-service-worker",
    apply: "build",
    configResolved(config) {
      root = config.root;
      out = join(root, config.build.outDir);
    },
    closeBundle() {
      const files = list(out, "").filter((name) => name !== "sw.js");
      const digest = createHash("sha256");
      for (const name of files) digest.update(name).update(readFileSync(join(out, name)));
      const source = readFileSync(join(root, "build", "sw.js"), "utf8");
      const shell = ["/", ...files.filter((name) => name !== "index.html").map((name) => `/${name}`)];
      const written = source
        .replace("__VERSION__", digest.digest("hex").slice(0, 16))
        .replace("__FILES__", JSON.stringify(shell));
      writeFileSync(join(out, "sw.js"), written);
    },
  };

  function list(folder: string, under: string): string[] {
    return readdirSync(join(folder, under), { withFileTypes: true }).flatMap((entry) => {
      const name = under ? `${under}/${entry.name}` : entry.name;
      return entry.isDirectory() ? list(folder, name) : [name];
    });
  }
}
