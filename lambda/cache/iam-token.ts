import { createHash, createHmac } from 'node:crypto';

/** What signs a request to AWS. */
export interface AwsCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
}

export interface IamTokenOptions {
  /** The cache's name, in lower case. */
  readonly cacheName: string;
  readonly userId: string;
  readonly region: string;
  readonly isServerless: boolean;
}

/** ElastiCache takes a token for so long. https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html */
const VALID_SECONDS = 900;
const SERVICE = 'elasticache';

/**
 * The password of an ElastiCache user that authenticates with IAM: a presigned `connect` request (Signature Version 4,
 * in the query) without its scheme.
 */
export function iamToken(options: IamTokenOptions, credentials: AwsCredentials, now: Date = new Date()): string {
  const time = `${now.toISOString().replaceAll(/[:-]|\.\d{3}/g, '')}`;
  const date = time.slice(0, 8);
  const scope = `${date}/${options.region}/${SERVICE}/aws4_request`;
  const parameters: Array<readonly [string, string]> = [
    ['Action', 'connect'],
    ...(options.isServerless ? [['ResourceType', 'ServerlessCache'] as const] : []),
    ['User', options.userId],
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', `${credentials.accessKeyId}/${scope}`],
    ['X-Amz-Date', time],
    ['X-Amz-Expires', String(VALID_SECONDS)],
    ...(credentials.sessionToken === undefined ? [] : [['X-Amz-Security-Token', credentials.sessionToken] as const]),
    ['X-Amz-SignedHeaders', 'host'],
  ];
  const query = parameters.map(([name, value]) => `${encoded(name)}=${encoded(value)}`).join('&');
  const canonical = ['GET', '/', query, `host:${options.cacheName}`, '', 'host', sha256('')].join('\n');
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n');
  const key = [date, options.region, SERVICE, 'aws4_request'].reduce<Buffer | string>(
    (secret, part) => hmac(secret, part),
    `AWS4${credentials.secretAccessKey}`,
  );
  return `${options.cacheName}/?${query}&X-Amz-Signature=${hmac(key, toSign).toString('hex')}`;
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const hmac = (key: Buffer | string, text: string): Buffer => createHmac('sha256', key).update(text).digest();
/** RFC 3986: `encodeURIComponent` leaves a few out. */
const encoded = (text: string): string =>
  encodeURIComponent(text).replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
