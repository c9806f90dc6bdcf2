import { isIP } from 'node:net';

export interface UrlRules {
  /** The local run's: http too, and this machine. */
  readonly loopback: boolean;
}

/** Longer ones are no addresses of receivers. */
const MAX_LENGTH = 2048;

/** Names that never lead to a public host: RFC 6761, RFC 8375, RFC 9476, and AWS's own. */
const INNER_NAMES =
  /(^|\.)(localhost|local|internal|intranet|lan|home|corp|private|test|invalid|onion|alt|home\.arpa)$/;

/** Names of this machine, which the local run lets through. */
const LOOPBACK = /^(localhost|127\.0\.0\.1|\[::1\])$/;

/**
 * What is wrong with the address of a receiver, if anything: as far as it can be told without asking for it. What its
 * name leads to is checked when the connection is made.
 *
 * A name is asked for, not an address: certificates have names, and of all the ways to write an address none is needed.
 */
export function webhookUrlProblem(text: string, rules: UrlRules): string | undefined {
  if (text.length > MAX_LENGTH) return `is longer than ${MAX_LENGTH} characters`;
  if (!URL.canParse(text)) return 'is not a URL';
  // A parser drops these; whoever wrote them meant to mislead another one.
  if (/[\s\\\p{Cc}]/u.test(text)) return 'holds white space, a control character or a backslash';
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') return 'holds a user name or a password';
  if (rules.loopback && LOOPBACK.test(url.hostname)) {
    return url.protocol === 'http:' || url.protocol === 'https:' ? undefined : 'is neither http nor https';
  }
  if (url.protocol !== 'https:') return 'is not https';
  const host = url.hostname.replace(/\.+$/, '');
  if (host.startsWith('[') || isIP(host) !== 0) return 'names an address instead of a host';
  if (!host.includes('.') || INNER_NAMES.test(host)) return 'names a host that is not on the public internet';
  return undefined;
}
