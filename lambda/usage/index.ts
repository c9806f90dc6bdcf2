import type { ServingConfig } from '../contract/config.ts';
import { admitByLedger, payerOf, refusePaused, settleAgain } from './admission.ts';
import { KeyStore } from './keys.ts';
import { Ledger, type LedgerOptions } from './ledger.ts';
import { PauseWatch } from './pause-watch.ts';
import { callersUsage } from './usage-route.ts';

/** All that the path has to do with the ledger; loaded when the deployment has one. */
export interface LedgerRoom {
  readonly ledger: Ledger;
  readonly keys: KeyStore;
  readonly pauses: PauseWatch;
  readonly admit: typeof admitByLedger;
  readonly refusePaused: typeof refusePaused;
  readonly payerOf: typeof payerOf;
  readonly settleAgain: typeof settleAgain;
  readonly callersUsage: typeof callersUsage;
}

export function openLedger(
  config: NonNullable<ServingConfig['ledger']>,
  options: Pick<LedgerOptions, 'now'> = {},
): LedgerRoom {
  const ledger = new Ledger({ ...config, ...options });
  const keys = new KeyStore(ledger.table);
  const pauses = new PauseWatch(ledger.table, options.now);
  return { ledger, keys, pauses, admit: admitByLedger, refusePaused, payerOf, settleAgain, callersUsage };
}
