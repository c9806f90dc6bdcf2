import type { Item } from './account.ts';
import { Paused } from './paused.ts';
import { PAUSES_KEY, type PauseSubject, type PauseTable, pausesIn } from './pauses.ts';

/** So long what was read is taken for what is. */
const FRESH_MS = 5_000;
/** So long it is still used while somebody reads anew; then a request waits for that. */
const USABLE_MS = 15_000;

/** Whose request it is, and for which model. */
export interface Asker {
  readonly consumer: string;
  readonly team?: string | undefined;
  /** Absent when it isn't for one. */
  readonly model?: string | undefined;
}

/**
 * What is paused, as a process knows it: one item, read every few seconds by all its requests together, and not at all
 * while there are none. A pause holds after 15 seconds at the latest, in each process.
 */
export class PauseWatch {
  readonly #table: Pick<PauseTable, 'get'>;
  readonly #now: () => number;
  #item: Item | undefined;
  #readAt = Number.NEGATIVE_INFINITY;
  #failed: { readonly at: number; readonly error: unknown } | undefined;
  #reading: Promise<void> | undefined;

  constructor(table: Pick<PauseTable, 'get'>, now: () => number = Date.now) {
    this.#table = table;
    this.#now = now;
  }

  /** Knows, after this, what is paused. @throws LedgerUnavailable when that can't be known; `refusal` then goes by what was */
  async ready(): Promise<void> {
    const age = this.#age;
    if (age < FRESH_MS) return;
    if (age < USABLE_MS) {
      this.#read().catch(() => {});
      return;
    }
    // While the ledger is down, not each request waits for its time-outs anew.
    const failed = this.#failed;
    if (failed !== undefined && this.#since(failed.at) < FRESH_MS) throw failed.error;
    // The first may be another request's, that was under way when Lambda froze the process.
    await this.#read().catch(() => this.#read().catch((error: unknown) => this.#fail(error)));
  }

  /** The same of a request that runs: while nothing can be known, what was known counts. */
  async refresh(asker: Asker): Promise<Paused | undefined> {
    await this.ready().catch(() => {});
    return this.refusal(asker);
  }

  /** Why this one's requests end, by what is known. */
  refusal(asker: Asker): Paused | undefined {
    const now = this.#now();
    const found = pausesIn(this.#item, now).find((pause) => isAbout(pause, asker));
    return found && new Paused(found, now);
  }

  get #age(): number {
    return this.#since(this.#readAt);
  }

  /** Of a time that is yet to come nobody knows how long ago it was: the clock was set back. */
  #since(time: number): number {
    const ms = this.#now() - time;
    return ms < 0 ? Number.POSITIVE_INFINITY : ms;
  }

  /** Once, however many wait for it. */
  #read(): Promise<void> {
    const at = this.#now();
    this.#reading ??= this.#table
      .get(PAUSES_KEY)
      .then((item) => {
        this.#item = item;
        this.#readAt = at;
        this.#failed = undefined;
      })
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  #fail(error: unknown): never {
    this.#failed = { at: this.#now(), error };
    throw error;
  }
}

function isAbout({ kind, name }: PauseSubject, asker: Asker): boolean {
  return asker[kind] === name;
}
