import { Names, Stack, Token } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/**
 * What CloudWatch allows, and no namespace of AWS's own.
 * https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Namespace
 */
const NAMESPACE = /^(?!AWS\/)[A-Za-z0-9._/#-][A-Za-z0-9._/#: -]{0,254}$/;

/** An API's name that no other has in the account and region: the stack's, and where the construct is in it. */
export function defaultApiName(scope: IConstruct): string {
  const stack = Stack.of(scope);
  // A nested stack has its name at deployment.
  if (Token.isUnresolved(stack.stackName)) return Names.uniqueResourceName(scope, { maxLength: 128, separator: '-' });
  const ids = scope.node.scopes.slice(stack.node.scopes.length).map(({ node }) => node.id);
  return plain([stack.stackName, ...ids].join('-'));
}

/** The namespace of a gateway's own metrics, which stands in the handler's asset. */
export function metricsNamespace(given: string | undefined, apiName: string): string {
  if (given === undefined && Token.isUnresolved(apiName)) {
    throw new Error('metricsNamespace is needed when apiName is known only at deployment: pass a plain string');
  }
  const namespace = given ?? `LlmServing/${plain(apiName)}`;
  if (Token.isUnresolved(namespace)) {
    throw new Error('metricsNamespace must be known at synth, but it is a token: pass a plain string');
  }
  if (!NAMESPACE.test(namespace)) {
    throw new Error(
      `metricsNamespace must be 1–255 letters, digits or "._/#: -" and begin with neither ":", a space nor "AWS/", got "${namespace}"`,
    );
  }
  return namespace;
}

function plain(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9._-]+/g, '-');
}
