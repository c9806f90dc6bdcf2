import type { BuildOptions } from 'esbuild';

/** How everything that runs in Node without `node_modules` beside it is bundled: ES modules, chunks for what loads late. */
export const NODE_BUNDLE = {
  outExtension: { '.js': '.mjs' },
  bundle: true,
  splitting: true,
  chunkNames: 'chunk-[name]-[hash]',
  format: 'esm',
  platform: 'node',
  mainFields: ['module', 'main'],
  conditions: ['node', 'import'],
  minifySyntax: true,
  minifyWhitespace: true,
  // The licences stand in a file of their own.
  legalComments: 'none',
  metafile: true,
  logLevel: 'warning',
  // CommonJS dependencies call require() for Node's own modules.
  banner: {
    js: "import{createRequire as __createRequire}from'node:module';const require=__createRequire(import.meta.url);",
  },
} satisfies BuildOptions & { metafile: true };
