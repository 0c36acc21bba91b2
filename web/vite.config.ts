// The build: hashed files under assets/, nothing inlined, because the page's policy forbids inline scripts and styles.
import { defineConfig } from "vitest/config";
import { serviceWorker } from "./build/service-worker.ts";

export default defineConfig({
  base: "/",
  build: {
    outDir: "../pocketphi/serve/page",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    target: "es2022",
    chunkSizeWarningLimit: 900,
  },
  plugins: [serviceWorker()],
  server: { proxy: { "/v1": "http://127.0.0.1:1618", "/tokenize": "http://127.0.0.1:1618" } },
  test: { environment: "jsdom", include: ["tests/**/*.test.ts"] },
});
