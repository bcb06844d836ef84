/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.observatory;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedSet;
import java.util.TreeSet;

/**
 * The way to wherever the observatory keeps its stations; a test puts a map in its place.
 *
 * @param <I> what identifies a station there
 */
public interface StationStore<I extends Comparable<? super I>> {

  /**
   * Looks a station up.
   *
   * @param id its identity in the store
   * @return the station, or nothing when the store has none of that identity
   */
  Optional<Station> find(I id);

  /** Stores a station under an identity; what stood there before is gone. */
  void put(I id, Station station);

  Map<I, Station> all();

  /** Copies every station of another store that this one lacks, and returns how many came over. */
  default int adoptStations(StationStore<I> other) {
    int stationsAdopted = 0;
    for (Map.Entry<I, Station> otherStation : other.all().entrySet()) {
      if (find(otherStation.getKey()).isEmpty()) {
        put(otherStation.getKey(), otherStation.getValue());
        stationsAdopted++;
      }
    }
    return stationsAdopted;
  }

  /** Returns the smallest and the largest identity of any station; of an empty store nothing. */
  default List<I> firstAndLastStation() {
    SortedSet<I> stationsById = new TreeSet<>(all().keySet());
    return stationsById.isEmpty() ? List.of() : List.of(stationsById.first(), stationsById.last());
  }
}
