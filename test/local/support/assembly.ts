import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { App, Stack } from 'aws-cdk-lib';
import {
  ApiKeySourceType,
  EndpointType,
  IdentitySource,
  LambdaIntegration,
  RequestAuthorizer,
  ResponseTransferMode,
  ResponseType,
  RestApi,
} from 'aws-cdk-lib/aws-apigateway';
import { Stream } from 'aws-cdk-lib/aws-kinesis';
import { type CfnFunction, Code, Function as LambdaFunction, Runtime } from 'aws-cdk-lib/aws-lambda';
import { Secret } from 'aws-cdk-lib/aws-secretsmanager';
import { afterAll } from 'vitest';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'local-run-'));
  folders.push(folder);
  return folder;
}

function code(source: string): Code {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'index.mjs'), source);
  return Code.fromAsset(folder);
}

/** Streams its environment and process id, or what `?path=` of the query asks for. */
const HANDLER = `
  const secret = async (id) => (await fetch(process.env.AWS_ENDPOINT_URL_SECRETS_MANAGER, {
    method: 'POST',
    headers: { 'x-amz-target': 'secretsmanager.GetSecretValue', 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify({ SecretId: id }),
  })).json();
  export const handler = awslambda.streamifyResponse(async (event, stream) => {
    const { do: what, ms } = event.queryStringParameters ?? {};
    stream = awslambda.HttpResponseStream.from(stream, { statusCode: 200, headers: { 'content-type': 'application/json' } });
    stream.write('');
    if (what === 'secrets') {
      stream.write(JSON.stringify([await secret(process.env.GENERATED), await secret(process.env.IMPORTED)]));
    } else if (what === 'wait') {
      await new Promise((resolve) => setTimeout(resolve, Number(ms)));
      stream.write(JSON.stringify(process.pid));
    } else {
      console.log('served', event.path);
      stream.write(JSON.stringify({ pid: process.pid, environment: process.env, event }));
    }
    stream.end();
  });`;

const AUTHORIZER = `
  export const handler = async (event) => {
    const key = /^Bearer (.+)$/.exec(event.headers.Authorization ?? event.headers.authorization ?? '')?.[1];
    if (key === undefined) throw new Error('Unauthorized');
    const Resource = event.methodArn.split('/').slice(0, 2).join('/') + '/*/*';
    return {
      principalId: 'caller',
      policyDocument: { Version: '2012-10-17', Statement: [{ Action: 'execute-api:Invoke', Effect: 'Allow', Resource }] },
      usageIdentifierKey: key,
    };
  };`;

/** What the CDK makes of an API with the features that the local run stands in for. Returns the assembly's folder. */
export function synthesize(options: { readonly managedInstances?: boolean; readonly runtime?: Runtime } = {}): string {
  const app = new App({
    outdir: temporaryFolder(),
    // As the CDK CLI does.
    context: { 'aws:cdk:enable-path-metadata': true },
  });
  const stack = new Stack(app, 'Local');
  const generated = new Secret(stack, 'Generated');
  const imported = Secret.fromSecretNameV2(stack, 'Imported', 'provider/key');
  const fn = new LambdaFunction(stack, 'Handler', {
    runtime: options.runtime ?? Runtime.NODEJS_24_X,
    handler: 'index.handler',
    code: code(HANDLER),
    memorySize: 256,
    environment: { GENERATED: generated.secretArn, IMPORTED: imported.secretArn },
  });
  if (options.managedInstances === true) {
    (fn.node.defaultChild as CfnFunction).addPropertyOverride('CapacityProviderConfig', {
      LambdaManagedInstancesCapacityProviderConfig: {
        CapacityProviderArn: 'arn:aws:lambda:us-east-1:000000000000:capacity-provider:x',
        PerExecutionEnvironmentMaxConcurrency: 3,
      },
    });
    fn.addEnvironment('AWS_LAMBDA_NODEJS_WORKER_COUNT', '2');
  }
  const authorizer = new RequestAuthorizer(stack, 'Authorizer', {
    handler: new LambdaFunction(stack, 'AuthorizerHandler', {
      runtime: Runtime.NODEJS_24_X,
      handler: 'index.handler',
      code: code(AUTHORIZER),
    }),
    identitySources: [IdentitySource.header('Authorization')],
  });
  const api = new RestApi(stack, 'Api', {
    apiKeySourceType: ApiKeySourceType.AUTHORIZER,
    endpointTypes: [EndpointType.REGIONAL],
    defaultCorsPreflightOptions: { allowOrigins: ['https://a.example', 'https://b.example'] },
    cloudWatchRole: false,
  });
  api.addGatewayResponse('Forbidden', {
    type: ResponseType.INVALID_API_KEY,
    statusCode: '401',
    templates: { 'application/json': '{"error":{"message":$context.error.messageString}}' },
  });
  const integration = new LambdaIntegration(fn.addAlias('live'), {
    responseTransferMode: ResponseTransferMode.STREAM,
  });
  const echo = api.root.resourceForPath('/v1/echo/{name}');
  echo.addMethod('GET', integration, { apiKeyRequired: true, authorizer });
  api.root.resourceForPath('/v1/models').addMethod('GET', integration);
  echo.addMethod('POST', integration, {
    requestModels: { 'application/json': api.addModel('Model', { schema: { required: ['model'] } }) },
    requestValidatorOptions: { validateRequestBody: true },
  });
  const plan = api.addUsagePlan('Plan', { throttle: { rateLimit: 100, burstLimit: 50 } });
  plan.addApiStage({ stage: api.deploymentStage });
  plan.addApiKey(api.addApiKey('Team'));
  new Stream(stack, 'Clicks');
  return app.synth().directory;
}
