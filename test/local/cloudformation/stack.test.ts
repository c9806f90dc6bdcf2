// biome-ignore-all lint/suspicious/noTemplateCurlyInString: CloudFormation's own placeholders
import { describe, expect, test } from 'vitest';
import { TemplateError } from '../../../local/cloudformation/evaluator.ts';
import { gapsOf } from '../../../local/cloudformation/gaps.ts';
import { evaluateStacks, Stack, type StackOptions } from '../../../local/cloudformation/stack.ts';
import type { Json, Template } from '../../../local/cloudformation/template.ts';

function stackOf(template: Partial<Template>, options: StackOptions = {}, name = 'Serving'): Stack {
  const source = { name, region: 'eu-west-1', account: '111122223333', assets: new Map() };
  return new Stack({ ...source, template: { Resources: {}, ...template } }, options);
}

/** Evaluates `value` as a property of a resource among some others. */
function evaluate(value: Json, options: StackOptions = {}): Json | undefined {
  const stack = stackOf(
    {
      Parameters: {
        BootstrapVersion: { Type: 'AWS::SSM::Parameter::Value<String>', Default: '/cdk-bootstrap/hnb659fds/version' },
        OtherParameter: { Type: 'AWS::SSM::Parameter::Value<String>', Default: '/other' },
        Size: { Type: 'String', Default: 'small' },
        Zones: { Type: 'CommaDelimitedList', Default: 'a,b' },
        Nothing: { Type: 'String' },
      },
      Mappings: { Sizes: { small: { cpu: 1 } } },
      Conditions: {
        Always: { 'Fn::Equals': [{ Ref: 'Size' }, 'small'] },
        Never: { 'Fn::Not': [{ Condition: 'Always' }] },
        Both: { 'Fn::And': [{ Condition: 'Always' }, { Condition: 'Never' }] },
        Either: { 'Fn::Or': [{ Condition: 'Always' }, { Condition: 'Never' }] },
      },
      Resources: {
        Subject: { Type: 'AWS::Lambda::Function', Properties: { Value: value } },
        Named: { Type: 'AWS::Lambda::Function', Properties: { FunctionName: 'api' } },
        Live: { Type: 'AWS::Lambda::Alias', Properties: { FunctionName: { Ref: 'Named' }, Name: 'live' } },
        Fleet: { Type: 'AWS::Kinesis::Stream' },
        Absent: { Type: 'AWS::Lambda::Function', Condition: 'Never' },
      },
    },
    options,
  );
  return stack.ofType('AWS::Lambda::Function')[0]?.property('Value');
}

describe('intrinsic functions', () => {
  test.each<[string, Json, Json | undefined]>([
    ['Ref of a pseudo parameter', { Ref: 'AWS::Region' }, 'eu-west-1'],
    ['Ref of the account', { Ref: 'AWS::AccountId' }, '111122223333'],
    ['Ref of a parameter', { Ref: 'Size' }, 'small'],
    ['Ref of a list parameter', { Ref: 'Zones' }, ['a', 'b']],
    ['Ref of the bootstrap version', { Ref: 'BootstrapVersion' }, '99'],
    ['Ref of a resource', { Ref: 'Named' }, 'api'],
    ['Ref of an alias', { Ref: 'Live' }, 'arn:aws:lambda:eu-west-1:111122223333:function:api:live'],
    ['Fn::GetAtt', { 'Fn::GetAtt': ['Named', 'Arn'] }, 'arn:aws:lambda:eu-west-1:111122223333:function:api'],
    ['Fn::GetAtt as a string', { 'Fn::GetAtt': 'Named.Arn' }, 'arn:aws:lambda:eu-west-1:111122223333:function:api'],
    ['Fn::Join', { 'Fn::Join': ['-', ['a', { Ref: 'Size' }, 3]] }, 'a-small-3'],
    ['Fn::Split', { 'Fn::Split': [':', 'a:b'] }, ['a', 'b']],
    ['Fn::Select', { 'Fn::Select': [1, { 'Fn::Split': [':', 'a:b'] }] }, 'b'],
    [
      'Fn::Sub',
      { 'Fn::Sub': '${AWS::Region}/${Named}/${Named.Arn}/${!Kept}' },
      'eu-west-1/api/arn:aws:lambda:eu-west-1:111122223333:function:api/${Kept}',
    ],
    ['Fn::Sub with variables', { 'Fn::Sub': ['${X}', { X: { Ref: 'Size' } }] }, 'small'],
    ['Fn::If that holds', { 'Fn::If': ['Always', 'yes', 'no'] }, 'yes'],
    ["Fn::If that doesn't hold", { 'Fn::If': ['Both', 'yes', 'no'] }, 'no'],
    ['Fn::If with an alternative', { 'Fn::If': ['Either', 'yes', 'no'] }, 'yes'],
    ['Fn::FindInMap', { 'Fn::FindInMap': ['Sizes', { Ref: 'Size' }, 'cpu'] }, 1],
    ['Fn::Base64', { 'Fn::Base64': 'abc' }, 'YWJj'],
    ['Fn::GetAZs', { 'Fn::GetAZs': '' }, ['eu-west-1a', 'eu-west-1b', 'eu-west-1c']],
    ['AWS::NoValue in a map', { a: 1, b: { Ref: 'AWS::NoValue' } }, { a: 1 }],
    ['AWS::NoValue in a list', ['a', { Ref: 'AWS::NoValue' }], ['a']],
    ['AWS::NoValue itself', { Ref: 'AWS::NoValue' }, undefined],
    ['false, 0, null and an empty string', [false, 0, null, ''], [false, 0, null, '']],
    [
      'a policy statement with a Condition',
      { Condition: { Bool: { a: 'true' } } },
      { Condition: { Bool: { a: 'true' } } },
    ],
  ])('%s', (_, value, expected) => {
    expect(evaluate(value)).toEqual(expected);
  });

  test('a dynamic reference is resolved inside a string', () => {
    const dynamicReference = (reference: string): string | undefined =>
      reference === 'secretsmanager:key:SecretString' ? 's3cret' : undefined;
    expect(evaluate('Bearer {{resolve:secretsmanager:key:SecretString}}', { dynamicReference })).toBe('Bearer s3cret');
  });

  test('Fn::ImportValue finds what another stack of the assembly exports', () => {
    const source = { region: 'eu-west-1', account: '111122223333', assets: new Map() };
    const [, importing] = evaluateStacks([
      { ...source, name: 'A', template: { Resources: {}, Outputs: { O: { Value: 'v', Export: { Name: 'A:O' } } } } },
      {
        ...source,
        name: 'B',
        template: {
          Resources: { F: { Type: 'AWS::Lambda::Function', Properties: { Value: { 'Fn::ImportValue': 'A:O' } } } },
        },
      },
    ]);
    expect(importing?.resources[0]?.property('Value')).toBe('v');
  });
});

describe('what is not known is an error that says where', () => {
  test.each<[string, Json, RegExp]>([
    ['a function', { a: [{ 'Fn::Cidr': [] }] }, /^Subject\.Properties\.Value\[0\]\.a\[0\]: .*Fn::Cidr/],
    ['a name', { Ref: 'Nobody' }, /Subject\.Properties\.Value.*nothing is named Nobody/],
    ['a resource whose condition does not hold', { Ref: 'Absent' }, /nothing is named Absent/],
    ['an attribute', { 'Fn::GetAtt': ['Named', 'Color'] }, /Named has no attribute Color/],
    ['a resource type', { Ref: 'Fleet' }, /Fleet: .*AWS::Kinesis::Stream/],
    ["a resource type's attribute", { 'Fn::GetAtt': ['Fleet', 'Arn'] }, /Fleet: .*AWS::Kinesis::Stream/],
    ['a condition', { 'Fn::If': ['Sometimes', 1, 2] }, /no condition named "Sometimes"/],
    ['a key of a mapping', { 'Fn::FindInMap': ['Sizes', 'large', 'cpu'] }, /Sizes \/ large \/ cpu/],
    ['an index', { 'Fn::Select': [7, ['a']] }, /no element 7/],
    ['an export', { 'Fn::ImportValue': 'Other:Output' }, /exports Other:Output/],
    ['a parameter without a value', { Ref: 'Nothing' }, /parameter Nothing has no default/],
    ['an SSM parameter', { Ref: 'OtherParameter' }, /no SSM parameter \/other/],
    ['a dynamic reference', '{{resolve:ssm:/x}}', /can't resolve \{\{resolve:ssm:\/x\}\}/],
    ['a function beside other keys', { Ref: 'Size', other: 1 }, /Ref beside other keys/],
    ['a list where a string belongs', { 'Fn::Join': ['', [['a']]] }, /must be a string/],
    ['a name in Fn::Sub', { 'Fn::Sub': '${Nobody}' }, /nothing is named Nobody/],
    ['NoValue inside a string', { 'Fn::Join': ['', { Ref: 'AWS::NoValue' }] }, /NoValue/],
  ])('%s', (_, value, message) => {
    expect(() => evaluate(value)).toThrow(TemplateError);
    expect(() => evaluate(value)).toThrow(message);
  });

  test('a value that depends on itself', () => {
    const name: Json = { Ref: 'F' };
    const stack = stackOf({ Resources: { F: { Type: 'AWS::Lambda::Function', Properties: { FunctionName: name } } } });
    expect(() => stack.resources[0]?.ref).toThrow('F.Properties.FunctionName depends on itself');
  });

  test('a transform', () => {
    expect(() => stackOf({ Transform: 'AWS::Serverless-2016-10-31' })).toThrow('AWS::Serverless-2016-10-31');
  });

  test('a required property', () => {
    const stack = stackOf({ Resources: { F: { Type: 'AWS::Lambda::Function' } } });
    expect(() => stack.resources[0]?.required('Handler')).toThrow('F.Properties.Handler');
  });
});

test('physical ids are the same in every run, and differ between resources', () => {
  const template: Partial<Template> = {
    Resources: { A: { Type: 'AWS::ApiGateway::ApiKey' }, B: { Type: 'AWS::ApiGateway::ApiKey' } },
  };
  const refs = stackOf(template).resources.map((resource) => resource.ref);
  expect(refs).toEqual(stackOf(template).resources.map((resource) => resource.ref));
  expect(new Set(refs).size).toBe(2);
  expect(refs[0]).toMatch(/^[a-z0-9]{10}$/);
});

test('resources that nothing stands in for, and properties without effect, are listed with their number and meaning', () => {
  const stack = stackOf({
    Resources: {
      F: { Type: 'AWS::Lambda::Function', Properties: { VpcConfig: { SubnetIds: [{ Ref: 'Unknown' }] } } },
      S: { Type: 'AWS::ApiGateway::Stage', Properties: { TracingEnabled: false } },
      Q1: { Type: 'AWS::Kinesis::Stream' },
      Q2: { Type: 'AWS::Kinesis::Stream' },
      V: { Type: 'AWS::EC2::VPC' },
      N: { Type: 'AWS::EC2::Subnet' },
      W: { Type: 'AWS::WAFv2::WebACLAssociation' },
      M: { Type: 'AWS::CDK::Metadata' },
    },
  });
  expect(gapsOf([stack])).toEqual([
    { what: 'AWS::EC2', count: 2, meaning: "no network is made: the functions run in this machine's" },
    { what: 'AWS::Kinesis::Stream', count: 2, meaning: 'nothing stands in for it: it is as if it were not there' },
    { what: 'AWS::Lambda::Function VpcConfig', count: 1, meaning: "the code runs in this machine's network" },
    { what: 'AWS::WAFv2::WebACLAssociation', count: 1, meaning: 'no web ACL filters requests' },
  ]);
});
