import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { isObject } from '../cloudformation/template.ts';
import { derive } from '../state.ts';
import type { SecretStore, StoredSecret } from './secret-store.ts';

export interface SecretsManager {
  /** For `AWS_ENDPOINT_URL_SECRETS_MANAGER`. */
  readonly url: string;
  close(): Promise<void>;
}

interface Answer {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Secrets Manager's JSON protocol: GetSecretValue and DescribeSecret. What else is asked for is refused by name. */
export async function startSecretsManager(store: SecretStore): Promise<SecretsManager> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const target = String(request.headers['x-amz-target'] ?? '');
    const { status, body } = answer(store, target, Buffer.concat(chunks).toString('utf8'));
    response.writeHead(status, {
      'content-type': 'application/x-amz-json-1.1',
      ...(typeof body.__type === 'string' ? { 'x-amzn-errortype': body.__type } : {}),
    });
    response.end(JSON.stringify(body));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function answer(store: SecretStore, target: string, text: string): Answer {
  const [, operation = ''] = target.split('.');
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch {
    return refusal('SerializationException', 'the request is no JSON');
  }
  if (!target.startsWith('secretsmanager.') || !isObject(input)) {
    return refusal('UnknownOperationException', `the local run has no stand-in for ${target || 'this service'}`);
  }
  const secret = store.find(String(input.SecretId));
  if (secret === undefined) {
    return refusal('ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
  }
  switch (operation) {
    case 'GetSecretValue':
      return value(secret, input);
    case 'DescribeSecret':
      return {
        status: 200,
        body: { ARN: secret.arn, Name: secret.name, VersionIdsToStages: { [versionOf(secret)]: ['AWSCURRENT'] } },
      };
    default:
      return refusal('UnknownOperationException', `the local run doesn't do ${target}`);
  }
}

/** There is one version of each secret: the current one. */
function value(secret: StoredSecret, input: { readonly VersionStage?: unknown; readonly VersionId?: unknown }): Answer {
  const stage = String(input.VersionStage ?? 'AWSCURRENT');
  const otherVersion = input.VersionId !== undefined && input.VersionId !== versionOf(secret);
  if (secret.value === undefined || stage !== 'AWSCURRENT' || otherVersion) {
    const message = `Secrets Manager can't find the specified secret value for staging label: ${stage}`;
    return refusal('ResourceNotFoundException', message);
  }
  return {
    status: 200,
    body: {
      ARN: secret.arn,
      Name: secret.name,
      VersionId: versionOf(secret),
      SecretString: secret.value,
      VersionStages: ['AWSCURRENT'],
      CreatedDate: 0,
    },
  };
}

/** Changes with the value, as versions do. */
function versionOf(secret: StoredSecret): string {
  const hex = derive(Buffer.from(secret.value ?? ''), secret.arn, 16).toString('hex');
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function refusal(type: string, message: string): Answer {
  return { status: 400, body: { __type: type, Message: message, message } };
}
