/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.library;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The way to wherever the library keeps its loans; a test puts a map in its place.
 *
 * @param <I> what identifies a loan there
 */
public interface LoanStore<I extends Comparable<? super I>> {

  /**
   * Looks a loan up.
   *
   * @param id its identity in the store
   * @return the loan, or nothing when the store has none of that identity
   */
  Optional<Loan> find(I id);

  /** Stores a loan under an identity; what stood there before is gone. */
  void put(I id, Loan loan);

  Map<I, Loan> all();

  /** Finds the loan or makes it, so that a caller need not ask twice. */
  default Loan getOrCreate(I id, Supplier<? extends Loan> maker) {
    return find(id).orElseGet(() -> {
      Loan made = maker.get();
      put(id, made);
      return made;
    });
  }
}
