/** A service contract from its file. */
import { readFileSync } from 'node:fs';
import { Problems } from '#runtime/supervise/problems';
import { checkSchema } from '#runtime/supervise/schema-problems';
import { Places, readSource } from '#runtime/supervise/source';
import { FabricError } from '#schemas/fabric-error';
import { type ServiceContract, serviceContractSchema } from '#schemas/service-contract';
import { chassisErrors } from '../errors.ts';

/** Throws `bad_contract` with every problem at its place. */
export function readContract(file: string): ServiceContract {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (cause) {
    throw new FabricError(chassisErrors.bad_contract, `${file} cannot be read`, { cause });
  }
  const problems = new Problems(chassisErrors.bad_contract);
  const places = new Places();
  const data = readSource(text, { file, places, problems });
  const isMap = typeof data === 'object' && data !== null && !Array.isArray(data);
  if (!problems.any && !isMap) problems.add({ file, line: 1, column: 1 }, 'holds no service contract');
  const contract = isMap ? checkSchema(serviceContractSchema, data, places, problems) : undefined;
  problems.throwIfAny();
  if (contract === undefined) throw new Error('invariant: a contract that is none has problems');
  return contract;
}
