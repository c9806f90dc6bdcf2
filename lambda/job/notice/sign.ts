import { createHmac, hkdfSync } from 'node:crypto';

/** Standard Webhooks: 24 to 64 bytes. */
const SECRET_BYTES = 32;

/**
 * A consumer's signing secret, made from the deployment's master secret: nothing secret is kept in the table, and one
 * consumer's secret tells nothing of another's. A rotation raises the version.
 */
export function webhookSecret(master: string, consumer: string, version: number): string {
  const bytes = hkdfSync('sha256', master, '', `cdk-llm-serving/webhook/${version}/${consumer}`, SECRET_BYTES);
  return `whsec_${Buffer.from(bytes).toString('base64')}`;
}

/**
 * The headers of a notification by Standard Webhooks, signed with each of the secrets: while a new one is taken up the
 * old one's signature is there too.
 *
 * @see https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
 */
export function signedHeaders(
  body: string,
  options: { readonly id: string; readonly atMs: number; readonly secrets: readonly string[] },
): Record<string, string> {
  const timestamp = String(Math.floor(options.atMs / 1000));
  const content = `${options.id}.${timestamp}.${body}`;
  const signatures = options.secrets.map((secret) => {
    const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
    return `v1,${createHmac('sha256', key).update(content).digest('base64')}`;
  });
  return { 'webhook-id': options.id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures.join(' ') };
}
