import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { App } from 'aws-cdk-lib';

export interface Statement {
  readonly Effect: string;
  readonly Action: string | string[];
  readonly Resource?: unknown;
  readonly Condition?: unknown;
}

export interface GrantedFunction {
  readonly logicalId: string;
  /** The folder of `lambda/` that its bundle is made of; undefined for a function of the CDK's or the user's own. */
  readonly entry: string | undefined;
  readonly statements: readonly Statement[];
  readonly managedPolicies: readonly unknown[];
}

interface Resource {
  readonly Type: string;
  readonly Properties?: Readonly<Record<string, unknown>>;
}

const HANDLERS = 'assets/handlers';

/** Every function that the app deploys, with what its role may do. */
export function grantedFunctions(app: App): GrantedFunction[] {
  const assembly = app.synth();
  return assembly.stacks.flatMap(({ template }) => {
    const resources = template.Resources as Readonly<Record<string, Resource>>;
    return Object.entries(resources)
      .filter(([, { Type }]) => Type === 'AWS::Lambda::Function')
      .map(([logicalId, { Properties = {} }]) => {
        const role = (Properties.Role as { 'Fn::GetAtt': [string, string] })['Fn::GetAtt'][0];
        return {
          logicalId,
          entry: entryOf(assembly.directory, Properties.Code as Readonly<Record<string, unknown>>),
          statements: statementsOf(resources, role),
          managedPolicies: (resources[role]?.Properties?.ManagedPolicyArns ?? []) as unknown[],
        };
      });
  });
}

/** By its content: an asset's name is a hash, since the serving config is a file of it. */
function entryOf(directory: string, code: Readonly<Record<string, unknown>>): string | undefined {
  const file = join(directory, `asset.${String(code.S3Key).replace('.zip', '')}`, 'index.mjs');
  if (!existsSync(file)) return undefined;
  const content = readFileSync(file, 'utf8');
  return readdirSync(HANDLERS).find((entry) => readFileSync(join(HANDLERS, entry, 'index.mjs'), 'utf8') === content);
}

/** Of the policies attached to a role, and of those that it holds itself. */
function statementsOf(resources: Readonly<Record<string, Resource>>, role: string): Statement[] {
  const documents = [
    ...((resources[role]?.Properties?.Policies ?? []) as { PolicyDocument: { Statement: Statement[] } }[]),
    ...Object.values(resources)
      .filter(({ Type }) => Type === 'AWS::IAM::Policy' || Type === 'AWS::IAM::ManagedPolicy')
      .map(
        ({ Properties }) =>
          Properties as unknown as { Roles?: { Ref?: string }[]; PolicyDocument: { Statement: Statement[] } },
      )
      .filter(({ Roles = [] }) => Roles.some(({ Ref }) => Ref === role)),
  ];
  return documents.flatMap(({ PolicyDocument }) => PolicyDocument.Statement);
}

export const actionsOf = ({ Action }: Statement): string[] => [Action].flat();
