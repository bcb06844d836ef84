/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.railway;

import java.util.Map;
import java.util.Optional;
import java.util.function.Supplier;

/**
 * The way to wherever the railway keeps its wagons; a test puts a map in its place.
 *
 * @param <I> what identifies a wagon there
 */
public interface WagonStore<I extends Comparable<? super I>> {

  /**
   * Looks a wagon up.
   *
   * @param id its identity in the store
   * @return the wagon, or nothing when the store has none of that identity
   */
  Optional<Wagon> find(I id);

  /** Stores a wagon under an identity; what stood there before is gone. */
  void put(I id, Wagon wagon);

  Map<I, Wagon> all();

  /** Finds the wagon or makes it, so that a caller need not ask twice. */
  default Wagon getOrCreate(I id, Supplier<? extends Wagon> maker) {
    return find(id).orElseGet(() -> {
      Wagon made = maker.get();
      put(id, made);
      return made;
    });
  }

  /** Copies every wagon of another store that this one lacks, and returns how many came over. */
  default int adoptWagons(WagonStore<I> other) {
    int wagonsAdopted = 0;
    for (Map.Entry<I, Wagon> otherWagon : other.all().entrySet()) {
      if (find(otherWagon.getKey()).isEmpty()) {
        put(otherWagon.getKey(), otherWagon.getValue());
        wagonsAdopted++;
      }
    }
    return wagonsAdopted;
  }
}
