/*
 * Synthetic sample code of finetune_assets, about no real place.
 * SPDX-License-Identifier: Apache-2.0
 */
package sample.observatory;

import java.time.LocalDate;
import java.util.LinkedHashSet;
import java.util.Set;

/** The paper form by which a station is asked for; it has grown with every wish of the observatory. */
public class StationForm {

  String callSign;
  String region;
  String applicant;
  String telephone;
  String remarks;
  int readings;
  LocalDate wantedFrom;

  StationForm(
      String callSign, String region, String applicant, String telephone, String remarks, int readings,
      LocalDate wantedFrom) {
    this.callSign = callSign;
    this.region = region;
    this.applicant = applicant;
    this.telephone = telephone;
    this.remarks = remarks;
    this.readings = readings;
    this.wantedFrom = wantedFrom;
  }

  public String getApplicant() {
    return applicant;
  }

  public void setApplicant(String applicant) {
    this.applicant = applicant;
  }

  public boolean isComplete() {
    return callSign != null && region != null && applicant != null && wantedFrom != null;
  }

  public Station toEntry(LocalDate today) {
    LocalDate first = wantedFrom.isBefore(today) ? today : wantedFrom;
    return new Station(callSign, region, readings, first);
  }

  public String summary() {
    return "%s wants %d readings in %s".formatted(applicant, readings, region);
  }

  public Set<String> missing() {
    Set<String> names = new LinkedHashSet<>();
    if (callSign == null) {
      names.add("callSign");
    }
    if (region == null) {
      names.add("region");
    }
    if (applicant == null) {
      names.add("applicant");
    }
    return names;
  }
}
