import { createHash } from 'node:crypto';

/** What the REQUEST authorizer reads of its event. */
export interface AuthorizerEvent {
  readonly methodArn: string;
  readonly headers?: Readonly<Record<string, string | undefined>> | null;
}

export interface AuthorizerResult {
  readonly principalId: string;
  readonly policyDocument: {
    readonly Version: '2012-10-17';
    readonly Statement: ReadonlyArray<{ Action: string; Effect: 'Allow' | 'Deny'; Resource: string }>;
  };
  /** With `Allow` only. */
  readonly usageIdentifierKey?: string;
}

/**
 * The values that API Gateway allows for an API key.
 * @see https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-basic-concept.html (API key)
 */
const API_KEY = /^[A-Za-z0-9]{20,128}$/;

/**
 * Takes the API key out of `Authorization: Bearer <key>` (what the OpenAI SDKs send) or `x-api-key`, and hands it to
 * API Gateway, which knows whether it exists, is enabled and has quota left: this function knows no keys, and an
 * unknown one is its to refuse. When both headers are there `Authorization` decides, and a malformed one isn't
 * rescued by the other: which key pays must not depend on a guess.
 *
 * What can't be a key is denied rather than thrown out with API Gateway's 'Unauthorized': anyone can send such requests,
 * and each would be an error with a stack trace in the function's log and in its metrics. The gateway answers both alike.
 */
export function authorize(event: AuthorizerEvent): AuthorizerResult {
  const key = presentedKey(event.headers ?? {});
  const stage = wholeStage(event.methodArn);
  if (key === undefined || !API_KEY.test(key)) {
    return { principalId: 'none', policyDocument: policy('Deny', stage) };
  }
  return {
    // Goes to access logs: tells two keys apart without telling the key.
    principalId: `key-${createHash('sha256').update(key).digest('hex').slice(0, 16)}`,
    policyDocument: policy('Allow', stage),
    usageIdentifierKey: key,
  };
}

const policy = (effect: 'Allow' | 'Deny', resource: string): AuthorizerResult['policyDocument'] => ({
  Version: '2012-10-17',
  Statement: [{ Action: 'execute-api:Invoke', Effect: effect, Resource: resource }],
});

function presentedKey(headers: Readonly<Record<string, string | undefined>>): string | undefined {
  let apiKey: string | undefined;
  let authorization: string | undefined;
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase();
    if (lower === 'authorization') authorization = value;
    else if (lower === 'x-api-key') apiKey = value;
  }
  if (authorization === undefined) return apiKey?.trim();
  return /^\s*bearer\s+(\S+)\s*$/i.exec(authorization)?.[1];
}

/**
 * `arn:aws:execute-api:<region>:<account>:<api>/<stage>/<method>/<path>` -> every method of the stage. API Gateway keeps
 * the result by header value, so a policy for one method would refuse the same key's next call to another one.
 */
function wholeStage(methodArn: string): string {
  const [api, stage] = methodArn.split('/');
  return `${api}/${stage}/*/*`;
}
