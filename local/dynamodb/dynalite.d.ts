/** dynalite brings no types. */
declare module 'dynalite' {
  import type { Server } from 'node:http';

  interface DynaliteOptions {
    /** How long a table stays in CREATING, milliseconds. */
    readonly createTableMs?: number;
    readonly deleteTableMs?: number;
    readonly updateTableMs?: number;
    /** Folder of a LevelDB store. @default - in memory */
    readonly path?: string;
  }

  export default function dynalite(options?: DynaliteOptions): Server;
}
