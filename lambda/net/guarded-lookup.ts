import { lookup as dnsLookup } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { isPublicAddress } from './public-address.ts';

/** A name that leads inside: this machine, its network, or a cloud's metadata. */
export class NotPublic extends Error {
  override readonly name = 'NotPublic';
}

/** Resolves a name; `node:dns` in production. */
export type Resolve = (
  hostname: string,
  options: object,
  done: (error: NodeJS.ErrnoException | null, addresses: ReadonlyArray<{ address: string; family: number }>) => void,
) => void;

/**
 * A connection's own look-up, which gives it only addresses that were checked: what is checked is what is connected to,
 * so that a second answer of the name server can't differ. One bad address among several is enough to refuse all.
 */
export function guardedLookup(
  isAllowed: (address: string) => boolean = isPublicAddress,
  resolve: Resolve = dnsLookup as unknown as Resolve,
): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) {
        callback(error, '');
        return;
      }
      const [first] = addresses;
      if (!first || !addresses.every(({ address }) => isAllowed(address))) {
        callback(new NotPublic('an address that is not allowed'), '');
        return;
      }
      if (options.all) callback(null, [...addresses]);
      else callback(null, first.address, first.family);
    });
  };
}
