import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { RestApiDefinition } from './apigateway/definition.ts';
import { restApiOf } from './apigateway/from-stack.ts';
import { RestApi } from './apigateway/rest-api.ts';
import { stageMetrics } from './apigateway/stage-metrics.ts';
import { startBedrockRuntime } from './bedrock/index.ts';
import { Clock } from './clock.ts';
import { readAssembly } from './cloudformation/assembly.ts';
import { type Gap, gapsOf } from './cloudformation/gaps.ts';
import { evaluateStacks, type Stack } from './cloudformation/stack.ts';
import { putEmbeddedMetrics } from './cloudwatch/emf.ts';
import { MetricStore } from './cloudwatch/metric-store.ts';
import { startCloudWatch } from './cloudwatch/server.ts';
import { startDynamoDb } from './dynamodb/index.ts';
import { importedLedgersOf } from './dynamodb/tables.ts';
import { realAwsVariables, serviceVariables } from './environment.ts';
import { type Fleet, type FleetOptions, Fleets } from './fleets.ts';
import { keyNames } from './key-names.ts';
import { accountConcurrency } from './lambda/account.ts';
import { EventSources } from './lambda/event-sources.ts';
import { type ComputeOverride, variablesOf } from './lambda/from-stack.ts';
import { Functions } from './lambda/functions.ts';
import { type Messaging, startMessaging } from './messaging/index.ts';
import { publishQueueMetrics } from './messaging/queue-metrics.ts';
import type { TextModel } from './model/index.ts';
import { Observability } from './observability.ts';
import { readGivenValues } from './secrets/given-values.ts';
import { SecretStore } from './secrets/secret-store.ts';
import { startSecretsManager } from './secrets/secrets-manager.ts';
import { startSns } from './sns/server.ts';
import { apiKeyValue, readSeed } from './state.ts';
import { Caches } from './valkey/caches.ts';

export interface LocalOptions {
  /** Folder of a cloud assembly: what `cdk synth -o` wrote. */
  readonly assembly: string;
  /** Answers for every Bedrock model. */
  readonly model: TextModel;
  /** Port of the API on 127.0.0.1; 0 for any free one. @default 0 */
  readonly port?: number;
  /**
   * Values of secrets by name or ARN; they come before those of `secrets.json` in the state folder. An environment
   * variable (`SECRET_PROVIDER_KEY` for `provider/key`) comes before both.
   */
  readonly secrets?: Readonly<Record<string, string>>;
  /** Holds what must be the same in every run. @default '.local' beside this folder */
  readonly stateFolder?: string;
  /** @default - what the template says for each function */
  readonly compute?: ComputeOverride;
  /** Processes of functions at once, over all functions; beyond them invocations are throttled. @default 100 */
  readonly maxConcurrency?: number;
  /** How many seconds pass for fleets (start-up, alarms, cooldowns, schedules) in a real one. @default 1 */
  readonly speed?: number;
  /** How fleets start, and what answers in their engines. @default - a simulated model */
  readonly fleets?: Pick<FleetOptions, 'model' | 'pace' | 'instanceMs' | 'loadMs'>;
  /** Functions get this process's AWS credentials and reach the real services. @default false */
  readonly realAws?: boolean;
  /** A line that a function or a fleet's task wrote, or that says what happened to a fleet. @default - dropped */
  readonly log?: (label: string, line: string) => void;
  /** A line of the stage's access log. @default - dropped */
  readonly accessLog?: (line: string) => void;
  /** Why API Gateway answered a request with an error of its own. @default - dropped */
  readonly failure?: (requestId: string, error: Error) => void;
}

export interface LocalRun {
  /** Base URL for an OpenAI SDK: `http://127.0.0.1:4000/v1`; without an API it is the first fleet's. */
  readonly url: string;
  /** Value of the first API key. */
  readonly apiKey: string;
  /** Values of all API keys by consumer; without an API those that the fleets' engines ask for, by fleet. */
  readonly keys: Readonly<Record<string, string>>;
  /** Where the dashboard is drawn; there is none without an API. */
  readonly dashboardUrl?: string;
  /** What the assembly has and nothing here stands in for. */
  readonly gaps: readonly Gap[];
  /** Secrets that functions refer to and that have no value here. */
  readonly missingSecrets: readonly string[];
  /** Address of the DynamoDB that stands in; absent when the assembly has no table. */
  readonly dynamoDbUrl?: string;
  /** Name of the usage ledger's table; absent when no function has one. */
  readonly ledgerTable?: string;
  /** Environment in which the operator's command line finds the jobs; absent when the assembly has no queue of them. */
  readonly jobs?: Readonly<Record<string, string>>;
  /** ECS services that run here. */
  readonly fleets: readonly Fleet[];
  /** URLs of the caches that run here. */
  readonly caches: readonly string[];
  /** Alarms, the messages that they sent, and the dashboard at `/dashboard`. */
  readonly observability: Observability;
  /** Ids of the processes of functions, tasks and caches. */
  readonly pids: number[];
  /** Ids of the processes of functions whose names hold a text. */
  pidsOf(functionName: string): number[];
  /** Ends everything that was started. */
  close(): Promise<void>;
}

const STATE_FOLDER = fileURLToPath(new URL('../.local', import.meta.url));

/** Runs an assembly's API on this machine, or its fleets where it has no API. */
export async function startLocal(options: LocalOptions): Promise<LocalRun> {
  const stateFolder = options.stateFolder ?? STATE_FOLDER;
  const seed = readSeed(stateFolder);
  const { stacks, secrets } = evaluate(options, stateFolder, seed);
  const stack = apiStackOf(stacks);
  const started: Array<() => Promise<void>> = [];
  const close = async (): Promise<void> => {
    for (const end of started.splice(0).reverse()) await end();
  };
  try {
    const secretsManager = await startSecretsManager(secrets);
    started.push(() => secretsManager.close());
    const bedrock = await startBedrockRuntime({ model: options.model });
    started.push(() => bedrock.close());
    const dynamoDb = await startDynamoDb(stacks);
    if (dynamoDb !== undefined) started.push(() => dynamoDb.close());
    const messaging = await startMessaging(stacks);
    if (messaging !== undefined) started.push(() => messaging.close());
    const clock = new Clock(options.speed);
    const store = new MetricStore(clock);
    const cloudWatch = await startCloudWatch(store);
    started.push(() => cloudWatch.close());
    let observability: Observability | undefined;
    const sns = await startSns(async (...message) => {
      if (observability === undefined) throw new Error('nobody listens yet');
      return observability.publish(...message);
    });
    started.push(() => sns.close());
    const urls = {
      secretsManager: secretsManager.url,
      bedrockRuntime: bedrock.url,
      dynamoDb: dynamoDb?.url,
      cloudWatch: cloudWatch.url,
      sns: sns.url,
      messaging: messaging?.url,
    };
    const log = options.log ?? (() => {});
    const fleets = await Fleets.start(stacks, {
      ...options.fleets,
      ...{ clock, store, log },
      secret: (valueFrom) => secrets.resolve(`secretsmanager:${dynamicReferenceOf(valueFrom)}`),
    });
    started.push(() => fleets.close());
    const caches = await Caches.start(stacks, log);
    started.push(() => caches.close());
    const functions = new Functions(stacks, {
      environment: options.realAws === true ? realAwsVariables(process.env) : serviceVariables(urls, process.env),
      account: accountConcurrency(options.maxConcurrency ?? 100),
      log: (label, line) => {
        putEmbeddedMetrics(store, line);
        log(label, line);
      },
      localized: (value) => caches.localized(fleets.localized(messaging?.localized(value) ?? value)),
      ...(options.compute === undefined ? {} : { compute: options.compute }),
    });
    started.push(() => functions.close());
    if (messaging !== undefined) {
      const sources = new EventSources(stacks, messaging.sqs, functions, (line) => log('sqs', line));
      started.push(() => sources.close());
      const endMetrics = publishQueueMetrics(stacks, { sqs: messaging.sqs, store, clock });
      started.push(async () => endMetrics());
    }
    const watching = new Observability(stacks, {
      ...{ clock, store, log },
      invoke: (arn, event) => functions.invoke(arn, event),
    });
    observability = watching;
    started.push(async () => watching.close());
    for (const arn of watching.scheduled) functions.prepare(arn);
    let front: Front;
    if (stack === undefined) {
      front = fleetsAlone(fleets.all);
    } else {
      const definition = restApiOf(stack, (keyId) => apiKeyValue(seed, keyId));
      const api = restApi(definition, { functions, observability: watching, store }, options);
      started.push(() => api.close());
      front = apiFront(await api.listen(options.port ?? 0), definition, keyNames(stacks, definition.apiKeys));
    }
    const ledgerTable = stacks
      .flatMap((each) => each.ofType('AWS::Lambda::Function'))
      .map((fn) => variablesOf(fn).LLM_LEDGER_TABLE)
      .find((name) => name !== undefined);
    const jobs = messaging === undefined ? undefined : jobsEnvironment(stacks, messaging, serviceVariables(urls, {}));
    return {
      ...front,
      gaps: [...gapsOf(stacks), ...importedLedgersOf(stacks).map(importedLedger), ...fleets.gaps],
      ...(dynamoDb === undefined ? {} : { dynamoDbUrl: dynamoDb.url }),
      ...(ledgerTable === undefined ? {} : { ledgerTable }),
      ...(jobs === undefined ? {} : { jobs }),
      fleets: fleets.all,
      caches: caches.urls,
      observability: watching,
      missingSecrets: options.realAws === true ? [] : missingSecrets(stacks, secrets),
      get pids() {
        return [...functions.prepared.flatMap((fn) => fn.pids), ...fleets.pids, ...caches.pids];
      },
      pidsOf: (name) => functions.prepared.filter((fn) => fn.name.includes(name)).flatMap((fn) => fn.pids),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

type Front = Pick<LocalRun, 'url' | 'apiKey' | 'keys' | 'dashboardUrl'>;

function restApi(
  definition: RestApiDefinition,
  { functions, observability, store }: { functions: Functions; observability: Observability; store: MetricStore },
  { accessLog, failure }: LocalOptions,
): RestApi {
  for (const method of definition.resources.flatMap((resource) => [...resource.methods.values()])) {
    // What can't be run is found now, not at the first request.
    if (method.integration.type === 'AWS_PROXY') functions.prepare(method.integration.functionArn);
    if (method.authorizer !== undefined) functions.prepare(method.authorizer.functionArn);
  }
  return new RestApi({
    page: observability.handle,
    answered: stageMetrics(definition, store),
    api: definition,
    invoke: (arn, event) => functions.invoke(arn, event),
    ...(accessLog === undefined ? {} : { accessLog }),
    ...(failure === undefined ? {} : { failure }),
  });
}

function apiFront(port: number, { apiKeys }: RestApiDefinition, names: ReadonlyMap<string, string>): Front {
  const address = `http://127.0.0.1:${port}`;
  return {
    url: `${address}/v1`,
    apiKey: apiKeys.find((key) => key.enabled)?.value ?? '',
    keys: Object.fromEntries(apiKeys.map((key) => [names.get(key.id) ?? key.id, key.value])),
    dashboardUrl: `${address}/dashboard`,
  };
}

/** Fleets that somebody's own application calls, by their load balancers. */
function fleetsAlone(fleets: readonly Fleet[]): Front {
  const [first] = fleets.filter(({ url }) => url !== undefined);
  if (first === undefined) throw new Error('no stack of the assembly has a REST API or a fleet');
  return {
    url: `${first.url}/v1`,
    apiKey: first.apiKey ?? '',
    keys: Object.fromEntries(fleets.flatMap(({ name, apiKey }) => (apiKey === undefined ? [] : [[name, apiKey]]))),
  };
}

/** What the function has that delivers notifications: it knows all of the queue's parts. */
function jobsEnvironment(
  stacks: readonly Stack[],
  messaging: Messaging,
  services: Readonly<Record<string, string>>,
): Record<string, string> | undefined {
  const variables = stacks
    .flatMap((stack) => stack.ofType('AWS::Lambda::Function'))
    .map(variablesOf)
    .find((each) => each.LLM_NOTICES_DEAD_LETTER_URL !== undefined);
  if (variables === undefined) return undefined;
  const own = Object.entries(variables).map(([name, value]) => [name, messaging.localized(value)]);
  return { AWS_REGION: stacks[0]?.region ?? 'us-east-1', ...services, ...Object.fromEntries(own) };
}

function importedLedger(name: string): Gap {
  return { what: `the table ${name}`, count: 1, meaning: 'an empty one stands in for what another stack holds' };
}

/** `<arn>:<json key>:<version stage>:<version id>`, as task definitions have it, in the words of a dynamic reference. */
function dynamicReferenceOf(valueFrom: string): string {
  const [, arn = valueFrom, key = ''] = /^(arn:(?:[^:]*:){5}[^:]+)(?::([^:]*))?/.exec(valueFrom) ?? [];
  return key === '' ? arn : `${arn}:SecretString:${key}`;
}

/** Templates may refer to secrets, and secrets stand in templates: the store is there before anything is evaluated. */
function evaluate(
  options: LocalOptions,
  stateFolder: string,
  seed: Buffer,
): { readonly stacks: readonly Stack[]; readonly secrets: SecretStore } {
  const assembly = readAssembly(options.assembly);
  let secrets: SecretStore | undefined;
  const dynamicReference = (reference: string): string | undefined => secrets?.resolve(reference);
  const stacks = evaluateStacks(assembly.stacks, { dynamicReference });
  const [first] = stacks;
  if (first === undefined) throw new Error(`${options.assembly} has no stack`);
  const values = { ...readGivenValues(join(stateFolder, 'secrets.json')), ...options.secrets };
  const { account, region } = first;
  const referred = referredSecrets(stacks);
  secrets = new SecretStore(stacks, { seed, values, account, region, referred, environment: process.env });
  return { stacks, secrets };
}

function apiStackOf(stacks: readonly Stack[]): Stack | undefined {
  const [first, ...others] = stacks.filter((stack) => stack.ofType('AWS::ApiGateway::RestApi').length > 0);
  if (first !== undefined && others.length > 0) {
    const names = [first, ...others].map((stack) => stack.name).join(', ');
    throw new Error(`the local run takes an assembly with one REST API, this one has several (${names})`);
  }
  return first;
}

const SECRET_ARN = /^arn:aws:secretsmanager:[^:]*:[^:]*:secret:[^:]+$/;

function missingSecrets(stacks: readonly Stack[], secrets: SecretStore): string[] {
  return referredSecrets(stacks).filter((arn) => secrets.find(arn)?.value === undefined);
}

/** ARNs of secrets in the functions' environments. */
function referredSecrets(stacks: readonly Stack[]): string[] {
  const values = stacks
    .flatMap((stack) => stack.ofType('AWS::Lambda::Function'))
    .flatMap((resource) => Object.values(variablesOf(resource)));
  return [...new Set(values)].filter((value) => SECRET_ARN.test(value));
}
