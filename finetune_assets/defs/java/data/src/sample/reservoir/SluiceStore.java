/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.reservoir;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The way to wherever the reservoir keeps its sluices; a test puts a map in its place.
 *
 * @param <I> what identifies a sluice there
 */
public interface SluiceStore<I extends Comparable<? super I>> {

  /**
   * Looks a sluice up.
   *
   * @param id its identity in the store
   * @return the sluice, or nothing when the store has none of that identity
   */
  Optional<Sluice> find(I id);

  /** Stores a sluice under an identity; what stood there before is gone. */
  void put(I id, Sluice sluice);

  Map<I, Sluice> all();

  /** Finds the sluice or makes it, so that a caller need not ask twice. */
  default Sluice getOrCreate(I id, Supplier<? extends Sluice> maker) {
    return find(id).orElseGet(() -> {
      Sluice made = maker.get();
      put(id, made);
      return made;
    });
  }
}
