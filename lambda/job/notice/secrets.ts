import { CachedValue } from '../../secrets/cached-value.ts';
import { isTransient, readSecret } from '../../secrets/secrets-manager.ts';
import type { ItemTable } from '../aws/table.ts';
import { where } from '../change.ts';
import { webhookSecret } from './sign.ts';

/** After a rotation the old secret signs as well, for so long. */
export const OVERLAP_MS = 24 * 3_600_000;

const MASTER_FRESH_MS = 5 * 60_000;

const keyOf = (consumer: string) => ({ pk: `consumer#${consumer}`, sk: 'webhook' });

/** The signing secrets of consumers: a version each, in the table; the rest is derived. */
export class WebhookSecrets {
  readonly #items: ItemTable;
  readonly #master: CachedValue<string>;
  readonly #now: () => number;

  constructor(items: ItemTable, secretArn: string, now: () => number = Date.now) {
    this.#items = items;
    this.#now = now;
    this.#master = new CachedValue({
      load: async () => ({ value: await readSecret(secretArn), freshMs: MASTER_FRESH_MS }),
      staleMs: 3_600_000,
      isTransient,
      now,
    });
  }

  /** The current one first; after a rotation the one before it too, for a day. */
  async of(consumer: string): Promise<readonly string[]> {
    const [master, item] = await Promise.all([this.#master.get(), this.#items.get(keyOf(consumer))]);
    const version = Number(item?.version ?? 1);
    const overlaps = Number(item?.rotatedAt ?? 0) + OVERLAP_MS > this.#now();
    return [version, ...(version > 1 && overlaps ? [version - 1] : [])].map((each) =>
      webhookSecret(master, consumer, each),
    );
  }

  /** Makes a new one. Within an overlap nothing happens: three at once nobody could follow. */
  async rotate(consumer: string): Promise<readonly string[]> {
    const now = this.#now();
    const key = keyOf(consumer);
    await this.#items.create(key, { version: 1, rotatedAt: 0 }, now);
    await this.#items.change(key, {
      when: where('rotatedAt', '<=', now - OVERLAP_MS),
      set: { rotatedAt: now },
      add: { version: 1 },
    });
    return this.of(consumer);
  }
}
